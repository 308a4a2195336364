"""Settings of decoding."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IngestSettings:
    """Accepted songs: their length in seconds, and the level in dBFS below which one is silent."""

    max_seconds: float = 3600.0
    min_seconds: float = 1.0
    silence_dbfs: float = -60.0
