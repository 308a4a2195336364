"""Training voices and the content encoder."""
