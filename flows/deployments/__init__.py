"""What a Prefect server can be asked to run."""
