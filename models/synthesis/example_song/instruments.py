"""The example song's instruments: drums, bass, electric piano and a plucked string.

An instrument takes a pitch, a duration and a velocity and gives one note as mono float64 samples; `render_notes` sums
them.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy.signal import butter, sosfilt

from models.core.dtypes import DoubleArray
from models.core.types import Note
from models.synthesis.example_song.composition import (
    CLOSED_HAT,
    CRASH,
    HIGH_TOM,
    KICK,
    LOW_TOM,
    OPEN_HAT,
    SAMPLE_RATE,
    SNARE,
)

Instrument = Callable[[int, float, int], DoubleArray]
PANS = {KICK: 0.0, SNARE: 0.05, CLOSED_HAT: 0.35, OPEN_HAT: 0.35, CRASH: -0.4,
        LOW_TOM: -0.3, HIGH_TOM: 0.25}  # fmt: skip


def render_notes(
    notes: Sequence[Note], instrument: Instrument, frames: int, pan: Callable[[Note], float]
) -> DoubleArray:
    """Every note at its onset, panned (-1 left to 1 right, equal power). Shape: (2, frames)."""
    stem = np.zeros((2, frames))
    for note in notes:
        sound = instrument(note.pitch, note.duration_s, note.velocity)
        start = round(note.onset_s * SAMPLE_RATE)
        sound = sound[: frames - start]
        angle = (pan(note) + 1) * np.pi / 4
        stem[0, start : start + len(sound)] += np.cos(angle) * sound
        stem[1, start : start + len(sound)] += np.sin(angle) * sound
    return stem


def _time(seconds: float) -> DoubleArray:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _hz(pitch: int) -> float:
    return float(440 * 2 ** ((pitch - 69) / 12))


def _band(kind: str, hz: float | tuple[float, float], signal: DoubleArray) -> DoubleArray:
    return np.asarray(sosfilt(butter(2, hz, kind, fs=SAMPLE_RATE, output="sos"), signal))


def _released(sound: DoubleArray, t: DoubleArray, duration_s: float, release_s: float) -> DoubleArray:
    """Exponential release after `duration_s` with time constant `release_s`."""
    return np.asarray(sound * np.exp(-np.maximum(t - duration_s, 0) / release_s))


@lru_cache(maxsize=256)
def electric_piano(pitch: int, duration_s: float, velocity: int) -> DoubleArray:
    """Two-operator frequency modulation with a bell-like tine, after Chowning (1973)."""
    t, hz, hard = _time(duration_s + 0.4), _hz(pitch), velocity / 127
    index = (0.5 + 2.4 * hard) * np.exp(-t / 0.45)
    body = np.sin(2 * np.pi * hz * t + index * np.sin(2 * np.pi * hz * t)) * np.exp(-t / 1.6)
    tine = 0.12 * hard * np.sin(2 * np.pi * 14 * hz * t) * np.exp(-t / 0.09) if 14 * hz < 16000 else 0.0
    attack = np.minimum(t / 0.003, 1)
    return _released(hard * attack * (body + tine), t, duration_s, 0.07)


@lru_cache(maxsize=256)
def plucked_string(pitch: int, duration_s: float, velocity: int) -> DoubleArray:
    """Harmonics of a string plucked near its bridge; the higher ones die first."""
    t, hz, hard = _time(duration_s + 0.6), _hz(pitch), velocity / 127
    sound = np.zeros(len(t))
    for k in range(1, min(14, int(15000 / hz)) + 1):
        stretched = hz * k * np.sqrt(1 + 2e-4 * k * k)
        sound += np.sin(np.pi * k * 0.18) / k * np.exp(-t * (1.8 + 0.9 * k)) * np.sin(2 * np.pi * stretched * t)
    return _released(hard * np.minimum(t / 0.0015, 1) * sound, t, duration_s, 0.15)


@lru_cache(maxsize=256)
def bass_guitar(pitch: int, duration_s: float, velocity: int) -> DoubleArray:
    """A sawtooth through a low-pass that closes after the attack, with a little of the octave's growl."""
    t, hz, hard = _time(duration_s + 0.12), _hz(pitch), velocity / 127
    cutoff = 260 + 1500 * hard * np.exp(-t / 0.13)
    sound = np.zeros(len(t))
    for k in range(1, 19):
        sound += np.sin(2 * np.pi * hz * k * t) / k / np.sqrt(1 + (k * hz / cutoff) ** 4)
    sound = np.tanh(1.3 * sound * np.exp(-t / 2.5))
    return _released(hard * np.minimum(t / 0.004, 1) * sound, t, duration_s, 0.025)


@lru_cache(maxsize=64)
def _drum(pitch: int, seed: int) -> DoubleArray:
    rng = np.random.default_rng([seed, pitch])
    if pitch == KICK:
        t = _time(0.45)
        phase = 2 * np.pi * (47 * t + 130 * 0.028 * (1 - np.exp(-t / 0.028)))
        click = _band("highpass", 1500, rng.standard_normal(len(t))) * np.exp(-t / 0.004) * 0.25
        return np.asarray(1.1 * np.sin(phase) * np.exp(-t / 0.13) + click)
    if pitch == SNARE:
        t = _time(0.35)
        tone = np.sin(2 * np.pi * 186 * t) * np.exp(-t / 0.05) + 0.6 * np.sin(2 * np.pi * 331 * t) * np.exp(-t / 0.035)
        wires = _band("highpass", 1400, rng.standard_normal(len(t))) * np.exp(-t / 0.085)
        return np.asarray(0.75 * tone + 0.42 * wires)
    if pitch in (LOW_TOM, HIGH_TOM):
        t = _time(0.5)
        hz = 98 if pitch == LOW_TOM else 147
        phase = 2 * np.pi * (hz * t + hz * 0.9 * 0.03 * (1 - np.exp(-t / 0.03)))
        stick = _band("bandpass", (500, 4000), rng.standard_normal(len(t))) * np.exp(-t / 0.02) * 0.3
        return np.asarray(0.8 * np.sin(phase) * np.exp(-t / 0.16) + stick)
    decay_s, level = {
        CLOSED_HAT: (0.03, 0.22),
        OPEN_HAT: (0.14, 0.2),
        CRASH: (0.7, 0.24),
    }[pitch]
    t = _time(min(6 * decay_s, 2.5))
    metal = sum(np.sign(np.sin(2 * np.pi * hz * t)) for hz in (2057, 3049, 3671, 5233, 5417, 7993))
    lowest = 3500 if pitch == CRASH else 7000
    noise = _band("highpass", lowest, 0.1 * metal + rng.standard_normal(len(t)))
    return np.asarray(level * noise * np.exp(-t / decay_s) * np.minimum(t / 0.0005, 1))


def drum_kit(seed: int) -> Instrument:
    """A synthesised kit; its noises are drawn from `seed`."""
    return lambda pitch, duration_s, velocity: (velocity / 127) ** 1.5 * _drum(pitch, seed)
