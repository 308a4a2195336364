"""Results kept by content: keys, locks, the store and its collector."""
