"""Notes into sound."""
