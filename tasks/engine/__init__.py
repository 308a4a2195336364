"""Networks that stay loaded: one engine process a machine."""
