"""How well the Music Transformer continues and accompanies."""
