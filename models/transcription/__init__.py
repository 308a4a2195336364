"""Stems into notes."""
