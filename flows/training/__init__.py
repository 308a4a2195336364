"""Training flows, a network each."""
