"""The separators of our own, a file each."""
