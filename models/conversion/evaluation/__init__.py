"""How well a voice sings."""
