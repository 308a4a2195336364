"""Singing synthesised from speech by the WORLD vocoder, since clean solo singing is scarce and speech is not.

Spectral envelopes are the speaker's (Morise et al., "WORLD", 2016); voiced segments are time-stretched and their F0 is
replaced by notes of a scale, with portamento and vibrato.
"""

import numpy as np
import pyworld
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from models.core.dtypes import BoolArray, DoubleArray
from models.core.types import Samples

HOP_S = 0.008
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))


def speech_to_singing(speech: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """The speech as singing, 1.2 to 3 times as long, on a random melody. Shape: (n,) -> (m,), within ±1."""
    wave = speech.astype(np.float64)
    rough, times = pyworld.dio(wave, sample_rate, frame_period=HOP_S * 1000, f0_floor=65, f0_ceil=500)
    f0 = pyworld.stonemask(wave, rough, times, sample_rate)
    envelope = pyworld.cheaptrick(wave, f0, times, sample_rate)
    noise = pyworld.d4c(wave, f0, times, sample_rate)
    positions = _stretched_times(f0 > 0, rng)
    near = np.minimum(np.round(positions).astype(int), len(f0) - 1)
    voiced = (f0 > 0)[near]
    median_f0 = float(np.median(f0[f0 > 0])) if (f0 > 0).any() else 150.0
    pitch = np.where(voiced, _melody(voiced, median_f0, rng), 0.0)
    sound = pyworld.synthesize(pitch, _interpolate_rows(envelope, positions), noise[near], sample_rate, HOP_S * 1000)
    power = uniform_filter1d(sound**2, sample_rate // 20)
    level = gaussian_filter1d(np.sqrt(np.maximum(power, 0)), sample_rate // 40)
    sound *= (level / max(float(level.max()), 1e-9) + 0.02) ** -rng.uniform(0.2, 0.5)
    return np.asarray(0.7 * sound / max(float(np.abs(sound).max()), 1e-9), np.float32)


def _stretched_times(voiced: BoolArray, rng: np.random.Generator) -> DoubleArray:
    """Each output frame's position in the speech: voiced segments are stretched, most in their middle."""
    length = np.ones(len(voiced))
    for start, stop in _runs(voiced):
        most = rng.uniform(1.5, 6.0) if rng.random() < 0.7 else 1.2
        length[start:stop] += (most - 1) * np.hanning(stop - start + 2)[1:-1]
    ends = np.cumsum(length)
    return np.interp(np.arange(int(ends[-1])), ends, np.arange(len(voiced)))


def _melody(voiced: BoolArray, median_f0_hz: float, rng: np.random.Generator) -> DoubleArray:
    """F0 in hertz of every frame: a random walk on a scale around the speaker's median F0, notes of 0.2 s to 1.2 s."""
    scale = np.array(SCALES[int(rng.integers(len(SCALES)))])
    tonic = 12 * np.log2(median_f0_hz) + rng.uniform(0, 9)
    notes = np.sort(np.concatenate([scale + octave for octave in (-12, 0, 12)]))
    at = int(np.argmin(np.abs(notes)))
    semitones = np.zeros(len(voiced))
    start = 0
    while start < len(voiced):
        stop = start + int(rng.uniform(0.2, 1.2) / HOP_S)
        at = int(np.clip(at + rng.choice((-2, -1, -1, 0, 1, 1, 2, 4, -4)), len(scale) - 3, 2 * len(scale) + 2))
        semitones[start:stop] = notes[at]
        start = stop
    semitones = gaussian_filter1d(semitones, rng.uniform(0.015, 0.05) / HOP_S)
    time = np.arange(len(voiced)) * HOP_S
    depth = rng.uniform(0, 0.5) * np.clip(gaussian_filter1d(np.sin(0.9 * time + rng.uniform(0, 6)), 12), 0, 1)
    wander = 0.3 * gaussian_filter1d(rng.standard_normal(len(voiced)), 12)
    vibrato = depth * np.sin(2 * np.pi * rng.uniform(4.8, 6.5) * time)
    pitch: DoubleArray = 2 ** ((tonic + semitones + vibrato + wander) / 12)
    return np.clip(pitch, 60, 900)


def _interpolate_rows(rows: DoubleArray, positions: DoubleArray) -> DoubleArray:
    """Rows at fractional positions, interpolated linearly. Shapes: (n, d), (m,) -> (m, d)."""
    low = np.minimum(positions.astype(int), len(rows) - 2)
    part = (positions - low)[:, None]
    return np.ascontiguousarray(rows[low] * (1 - part) + rows[low + 1] * part)


def _runs(flags: BoolArray) -> list[tuple[int, int]]:
    """Start and stop of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
