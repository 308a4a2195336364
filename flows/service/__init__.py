"""The service: server, workers, recovery, collection."""
