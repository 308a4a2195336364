"""Training curves: rows of mean losses and validation metrics by step, as JSON lines."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

CURVE_FILE = "losses.jsonl"
"""The file of a training's folder that holds its curve."""
Row = dict[str, float]
"""A step under "step", and what was measured there by name."""


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a row to a file."""
    with open(path, "a") as file:
        file.write(json.dumps(dict(row)) + "\n")


def read_rows(path: Path) -> list[Row]:
    """The rows of a file by step; of one step, repeated after a resumption, the last values. Empty without a file."""
    by_step: dict[float, Row] = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        row: Row = json.loads(line)
        by_step.setdefault(row["step"], {}).update(row)
    return [by_step[step] for step in sorted(by_step)]


class LossMeans:
    """Means of each loss since the last row.

    >>> means = LossMeans()
    >>> means.add({"loss": 1.0})
    >>> means.add({"loss": 2.0, "accuracy": 0.5})
    >>> means.take()
    {'loss': 1.5, 'accuracy': 0.5}
    >>> means.take()
    {}
    """

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, losses: Mapping[str, float]) -> None:
        """Add the losses of a step; a loss may be absent from some steps."""
        for name, value in losses.items():
            self._values.setdefault(name, []).append(value)

    def take(self) -> Row:
        """The means, which start anew."""
        means = {name: float(np.mean(values)) for name, values in self._values.items()}
        self._values.clear()
        return means
