"""What the training loops share: where a run keeps its checkpoint, whom it reports to, and the means it reports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.core.progress import UNWATCHED, Watch


def _never(network: Any, step: int) -> bool:
    return False


@dataclass(frozen=True)
class TrainingRun:
    """A training run, resumed from `folder`/checkpoint.pt if there is one.

    `report` gets a row of mean losses with their step; `should_stop(network, step)` is called at every validation.
    """

    folder: Path
    report: Callable[[dict[str, float]], None]
    watch: Watch = UNWATCHED
    device: str = "cpu"
    should_stop: Callable[[Any, int], bool] = field(default=_never)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"


class LossMeans:
    """Means of each loss since the last row; `mean` is `np.mean` or `np.nanmean`."""

    def __init__(self, mean: Callable[[list[float]], Any] = np.mean) -> None:
        self._mean = mean
        self._values: dict[str, list[float]] = {}

    def add(self, losses: Mapping[str, float]) -> None:
        """Add the losses of a step."""
        for name, value in losses.items():
            self._values.setdefault(name, []).append(value)

    def row(self, step: int) -> dict[str, float]:
        """The step and the means, which start anew."""
        means = {name: float(self._mean(values)) for name, values in self._values.items()}
        self._values.clear()
        return {"step": step, **means}
