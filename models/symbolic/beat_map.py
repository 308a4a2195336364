"""Beat maps: seconds to beats of a `Grid` and back, and extending a grid past the song's end."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from models.core.dtypes import DoubleArray
from models.core.types import Grid


def seconds_to_beats(grid: Grid, times_s: ArrayLike) -> DoubleArray:
    """Times in seconds as beats since the first beat (fractional; extrapolated at the nearest beat's tempo)."""
    beats = np.asarray(grid.beats_s)
    return _piecewise_linear(np.asarray(times_s, np.float64), beats, np.arange(len(beats), dtype=np.float64))


def beats_to_seconds(grid: Grid, beats: ArrayLike) -> DoubleArray:
    """The inverse of `seconds_to_beats`."""
    times = np.asarray(grid.beats_s)
    return _piecewise_linear(np.asarray(beats, np.float64), np.arange(len(times), dtype=np.float64), times)


def _piecewise_linear(x: DoubleArray, xs: DoubleArray, ys: DoubleArray) -> DoubleArray:
    """Piecewise linear map xs -> ys, extrapolated with its first and last slope."""
    inside = np.interp(x, xs, ys)
    first = (ys[1] - ys[0]) / (xs[1] - xs[0])
    last = (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
    return np.where(x < xs[0], ys[0] + (x - xs[0]) * first, np.where(x > xs[-1], ys[-1] + (x - xs[-1]) * last, inside))


def downbeat_indices(grid: Grid) -> tuple[int, ...]:
    """Indices of the downbeats in `grid.beats_s`."""
    return tuple(int(np.argmin(np.abs(np.asarray(grid.beats_s) - t))) for t in grid.downbeats_s)


def extend_grid(grid: Grid, end_s: float, bars: int) -> tuple[Grid, float, float]:
    """The grid with enough beats for `bars` whole bars after a song that ends at `end_s`.

    Returns the longer grid and the outro's start and end in seconds; the outro starts on the last downbeat before the
    song's end (or a quarter of a beat after it), at the tempo of the last two bars, and its beats have the chord "N".
    """
    period = float(np.median(np.diff(grid.beats_s[-2 * grid.metre - 1 :])))
    anchor = downbeat_indices(grid)[-1] if grid.downbeats_s else 0
    beats = list(grid.beats_s)

    def beat_time(index: int) -> float:
        return beats[index] if index < len(beats) else beats[-1] + (index - len(beats) + 1) * period

    start = anchor
    while beat_time(start + grid.metre) <= end_s + period / 4:
        start += grid.metre
    stop = start + bars * grid.metre
    longer = [beat_time(i) for i in range(max(stop + 1, len(beats)))]
    downbeats = [t for t in grid.downbeats_s if t < longer[start] - period / 2]
    downbeats += [longer[i] for i in range(start, len(longer), grid.metre)]
    chords = grid.chords + ("N",) * (len(longer) - len(beats))
    extended = replace(grid, beats_s=tuple(longer), downbeats_s=tuple(downbeats), chords=chords)
    return extended, longer[start], longer[stop]
