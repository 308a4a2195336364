"""A run: what comes in, what is shown, what is written out."""
