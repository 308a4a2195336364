"""What computes: arrays and records in, arrays and records out. No Prefect, no store."""
