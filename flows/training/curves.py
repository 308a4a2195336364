"""Plots of training curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.core.curve import Row


@dataclass(frozen=True)
class Panel:
    """Curves in one pair of axes: the names of what is drawn, and what the vertical axis shows."""

    names: tuple[str, ...]
    ylabel: str = ""


def plot_curves(rows: Sequence[Row], panels: Sequence[Panel], target: Path, columns: int = 3, smooth: int = 1) -> Path:
    """Draw panels side by side over the steps, at most `columns` in a row, as a picture.

    Each curve is a moving average of `smooth` rows (fewer where there are not three times as many), of the rows that
    have it; curves that no row has are left out.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    size = (4.3 * columns + 0.5, 3.2 * lines)
    figure, axes = pyplot.subplots(lines, columns, figsize=size, layout="constrained", squeeze=False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        for name in panel.names:
            points = np.array([(row["step"], row[name]) for row in rows if name in row]).reshape(-1, 2)
            width = min(smooth, len(points) // 3 + 1)
            if len(points):
                values = np.convolve(points[:, 1], np.ones(width) / width, "valid")
                axis.plot(points[width - 1 :, 0], values, marker="." if len(values) < 50 else "", label=name)
        axis.set(xlabel="step", ylabel=panel.ylabel, title=panel.names[0] if len(panel.names) == 1 else "")
        if len(panel.names) > 1:
            axis.legend()
    figure.savefig(target, dpi=80)
    pyplot.close(figure)
    return target
