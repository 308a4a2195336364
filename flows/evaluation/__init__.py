"""Evaluation flows, a part each."""
