"""Verbs, one file each: read from the store, call one pure function, write to the store."""
