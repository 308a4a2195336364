"""The Music Transformer: continues a song on its grid and writes a band around its melody."""

from models.generation.generate import PlaySettings, accompany, extend, shortcomings

__all__ = ["PlaySettings", "accompany", "extend", "shortcomings"]
