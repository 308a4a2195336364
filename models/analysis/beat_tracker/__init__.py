"""Beat and downbeat tracking in separated stems by a small temporal convolutional network."""

from models.analysis.beat_tracker.inference import FPS, features, predict

__all__ = ["FPS", "features", "predict"]
