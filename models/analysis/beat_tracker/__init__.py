"""Beats and downbeats heard in a separated band by a small network of our own."""

from models.analysis.beat_tracker.inference import FPS, features, hear

__all__ = ["FPS", "features", "hear"]
