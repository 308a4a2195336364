"""Gain curves in dB, one value every 5 ms (`step_frames`) of the whole song, from curves of power.

A curve of a 30-minute song is 3 MB, so each is computed from all of the song, with look-ahead and without latency.
Reductions are positive dB.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal.windows import hann

from models.audio.loudness import SILENCE_LUFS, gated_loudness, lufs
from models.core.dtypes import BoolArray, DoubleArray, IndexArray
from models.core.types import Samples

STEP_S = 0.005
STEPS_PER_100_MS = 20
MIN_ACTIVITY_S = 0.1
"""Activity runs shorter than this are dropped as residue."""


def step_frames(sample_rate: int) -> int:
    """The hop of a curve, in frames of audio."""
    return round(sample_rate * STEP_S)


def powers_100_ms(powers: DoubleArray) -> DoubleArray:
    """Powers every 5 ms averaged to powers every 100 ms."""
    filled = np.concatenate([powers, np.zeros(-len(powers) % STEPS_PER_100_MS)])
    return np.asarray(filled.reshape(-1, STEPS_PER_100_MS).mean(axis=1))


def active_level(powers: DoubleArray) -> float:
    """Gated loudness in LUFS (-70 for silence), from powers every 5 ms."""
    return gated_loudness(powers_100_ms(powers))


def level_above(powers: DoubleArray, reference_lufs: float) -> DoubleArray:
    """The level in dB above a reference, power smoothed over 25 ms."""
    return np.asarray(lufs(gaussian_filter1d(powers, 0.010 / STEP_S, mode="nearest")) - reference_lufs)


def singing_mask(powers: DoubleArray, below_db: float) -> BoolArray:
    """Voice activity: less than `below_db` under the active level, without runs under `MIN_ACTIVITY_S`."""
    level = active_level(powers)
    if level <= SILENCE_LUFS:
        return np.zeros(len(powers), bool)
    mask = level_above(powers, level) > -below_db
    starts, stops = runs(mask)
    for start, stop in zip(starts, stops, strict=True):
        if (stop - start) * STEP_S < MIN_ACTIVITY_S:
            mask[start:stop] = False
    return mask


def runs(mask: BoolArray) -> tuple[IndexArray, IndexArray]:
    """First and one-past-last index of each run of True."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def dilate(mask: BoolArray, before_s: float, after_s: float) -> BoolArray:
    """Each run of True begun `before_s` sooner and ended `after_s` later."""
    starts, stops = runs(mask)
    wide = np.zeros(len(mask), bool)
    before, after = round(before_s / STEP_S), round(after_s / STEP_S)
    for start, stop in zip(starts, stops, strict=True):
        wide[max(start - before, 0) : stop + after] = True
    return wide


def gate(mask: BoolArray, range_db: float, before_s: float, after_s: float) -> DoubleArray:
    """Reduction by `range_db` between phrases.

    It opens `before_s` ahead of a phrase, where its breath is, and closes `after_s` behind it, within 0.1 s.
    """
    closed = ~dilate(mask, before_s, after_s)
    return smooth(np.where(closed, range_db, 0.0), 0.1)


def compressor(level_db: DoubleArray, threshold_db: float, ratio: float, knee_db: float) -> DoubleArray:
    """Static reduction of a downward compressor with a parabolic knee (Giannoulis, Massberg and Reiss 2012)."""
    over = level_db - threshold_db
    slope = 1 - 1 / ratio
    knee = slope * (over + knee_db / 2) ** 2 / (2 * max(knee_db, 1e-9))
    return np.asarray(np.where(over < -knee_db / 2, 0, np.where(over > knee_db / 2, slope * over, knee)))


def smoothed_reduction(wanted: DoubleArray, attack_s: float, release_s: float) -> DoubleArray:
    """A reduction with look-ahead: reached over `attack_s` ahead of the sound, released by 1/e in `release_s`."""
    reach = max(1, round(attack_s / STEP_S))
    ahead = maximum_filter1d(wanted, 2 * reach + 1, mode="nearest")
    return smooth(exponential_release(ahead, STEP_S / release_s), 2 * reach * STEP_S)


def smooth(curve: DoubleArray, seconds: float) -> DoubleArray:
    """A curve whose steps take `seconds`, half before and half after."""
    width = 2 * round(seconds / STEP_S / 2) + 1
    if width == 1:
        return curve
    window = hann(width + 2)[1:-1]
    return np.convolve(np.pad(curve, width // 2, mode="edge"), window / window.sum(), "valid")


def exponential_release(wanted: DoubleArray, fall: float, last: float = 0.0) -> DoubleArray:
    """The smallest curve above `wanted` that falls by at most a factor exp(-`fall`) a step, starting from `last`."""
    steps = np.arange(1, len(wanted) + 1) * fall
    with np.errstate(divide="ignore"):
        risen = np.maximum.accumulate(np.maximum(np.log(wanted) + steps, np.log(np.float64(last))))
    return np.asarray(np.exp(risen - steps))


def gain_between(curve_db: DoubleArray, start: int, stop: int, step: int) -> Samples:
    """Linear gain of frames [start, stop) from a curve in dB whose values are `step` frames apart."""
    first = max(start // step - 1, 0)
    values = 10 ** (curve_db[first : stop // step + 2] / 20)
    if not len(values):
        values = 10 ** (curve_db[-1:] / 20)
    centres = (np.arange(first, first + len(values)) + 0.5) * step
    return np.interp(np.arange(start, stop), centres, values).astype(np.float32)
