"""Which voices there are, their consent, and installing them."""
