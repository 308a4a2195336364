"""Training the separators: data, losses, loop."""
