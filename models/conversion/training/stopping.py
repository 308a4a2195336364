"""Early stopping of voice trainings."""

from collections.abc import Callable
from typing import Any

ShouldStop = Callable[[Any, int], bool]
"""Validates a network after so many steps; returns whether to stop."""


def never(network: Any, step: int) -> bool:
    """For trainings without validation."""
    return False
