"""Beats and downbeats heard in a separated band by a small network of our own."""

from models.beat_tracker.hearing import FPS, features, hear

__all__ = ["FPS", "features", "hear"]
