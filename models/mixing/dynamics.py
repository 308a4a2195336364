"""Gain that moves: curves in dB, one value each 5 ms (`step_frames`) of the whole song, from curves of power.

A curve of a 30-minute song is 3 MB, so every decision can look at all of the song, ahead as well as back; nothing here
delays audio. Reductions are positive dB.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal.windows import hann

from models.audio.loudness import SILENCE_LUFS, gated_loudness, lufs
from models.core.types import Samples

STEP_S = 0.005
STEPS_PER_TENTH = 20
SHORTEST_SOUND_S = 0.1
"""Anything shorter that rises out of the silence between phrases is residue."""

Curve = NDArray[np.float64]


def step_frames(sample_rate: int) -> int:
    """How many frames apart the values of a curve are."""
    return round(sample_rate * STEP_S)


def tenths(powers: Curve) -> Curve:
    """Powers each 5 ms as powers each 100 ms."""
    filled = np.concatenate([powers, np.zeros(-len(powers) % STEPS_PER_TENTH)])
    return np.asarray(filled.reshape(-1, STEPS_PER_TENTH).mean(axis=1))


def active_level(powers: Curve) -> float:
    """How loud it is where it sounds at all, in LUFS (-70 for silence), from powers each 5 ms."""
    return gated_loudness(tenths(powers))


def level_above(powers: Curve, reference_lufs: float) -> Curve:
    """The level through time in dB above a reference, power smoothed over 25 ms."""
    return np.asarray(lufs(gaussian_filter1d(powers, 0.010 / STEP_S, mode="nearest")) - reference_lufs)


def sung(powers: Curve, below_db: float) -> NDArray[np.bool_]:
    """Where a voice sings: less than `below_db` under its active level, and for no blink of an eye."""
    level = active_level(powers)
    if level <= SILENCE_LUFS:
        return np.zeros(len(powers), bool)
    mask = level_above(powers, level) > -below_db
    starts, stops = runs(mask)
    for start, stop in zip(starts, stops, strict=True):
        if (stop - start) * STEP_S < SHORTEST_SOUND_S:
            mask[start:stop] = False
    return mask


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and one-past-last index of each run of True.

    >>> runs(np.array([False, True, True, False, True]))
    (array([1, 4]), array([3, 5]))
    """
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def widened(mask: NDArray[np.bool_], before_s: float, after_s: float) -> NDArray[np.bool_]:
    """Each run of True begun `before_s` sooner and ended `after_s` later."""
    starts, stops = runs(mask)
    wide = np.zeros(len(mask), bool)
    before, after = round(before_s / STEP_S), round(after_s / STEP_S)
    for start, stop in zip(starts, stops, strict=True):
        wide[max(start - before, 0) : stop + after] = True
    return wide


def gate(mask: NDArray[np.bool_], range_db: float, before_s: float, after_s: float) -> Curve:
    """Reduction by `range_db` between phrases.

    It opens `before_s` ahead of a phrase, where its breath is, and closes `after_s` behind it, within 0.1 s.
    """
    closed = ~widened(mask, before_s, after_s)
    return faded(np.where(closed, range_db, 0.0), 0.1)


def compressor(level_db: Curve, threshold_db: float, ratio: float, knee_db: float) -> Curve:
    """The reduction a downward compressor wants; its knee is a parabola (Giannoulis, Massberg and Reiss 2012)."""
    over = level_db - threshold_db
    slope = 1 - 1 / ratio
    knee = slope * (over + knee_db / 2) ** 2 / (2 * max(knee_db, 1e-9))
    return np.asarray(np.where(over < -knee_db / 2, 0, np.where(over > knee_db / 2, slope * over, knee)))


def timed(wanted: Curve, attack_s: float, release_s: float) -> Curve:
    """A reduction that is reached in time, over `attack_s` ahead of the sound, and let go by 1/e in `release_s`."""
    reach = max(1, round(attack_s / STEP_S))
    ahead = maximum_filter1d(wanted, 2 * reach + 1, mode="nearest")
    return faded(exponential_release(ahead, STEP_S / release_s), 2 * reach * STEP_S)


def faded(curve: Curve, seconds: float) -> Curve:
    """A curve whose steps take `seconds`, half before and half after."""
    width = 2 * round(seconds / STEP_S / 2) + 1
    if width == 1:
        return curve
    window = hann(width + 2)[1:-1]
    return np.convolve(np.pad(curve, width // 2, mode="edge"), window / window.sum(), "valid")


def exponential_release(wanted: Curve, fall: float, last: float = 0.0) -> Curve:
    """The smallest curve above `wanted` that falls by no more than a factor exp(-`fall`) a step; `last` came before it.

    >>> exponential_release(np.array([0.0, 8.0, 0.0, 0.0, 3.0]), np.log(2)).round(9).tolist()
    [0.0, 8.0, 4.0, 2.0, 3.0]
    """
    steps = np.arange(1, len(wanted) + 1) * fall
    with np.errstate(divide="ignore"):
        risen = np.maximum.accumulate(np.maximum(np.log(wanted) + steps, np.log(np.float64(last))))
    return np.asarray(np.exp(risen - steps))


def gain_between(curve_db: Curve, start: int, stop: int, step: int) -> Samples:
    """The gain of frames [start, stop) from a curve of dB whose values are `step` frames apart, as a linear factor."""
    first = max(start // step - 1, 0)
    values = 10 ** (curve_db[first : stop // step + 2] / 20)
    if not len(values):
        values = 10 ** (curve_db[-1:] / 20)
    centres = (np.arange(first, first + len(values)) + 0.5) * step
    return np.interp(np.arange(start, stop), centres, values).astype(np.float32)
