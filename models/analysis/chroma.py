"""Which notes sound, beat by beat: a log-frequency spectrum explained as a sum of notes with their overtones.

Mauch and Dixon, "Approximate note transcription for the improved identification of difficult chords", ISMIR 2010.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.optimize import nnls

from models.audio.framing import magnitudes
from models.core.progress import UNWATCHED, Watch
from models.core.types import Source

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

LOWEST, HIGHEST = 28, 99
"""The notes that are looked for, as MIDI pitches."""
NOTES = HIGHEST - LOWEST + 1
FPS = 22_050 / 2_048
"""Spectra a second."""
_RATE, _HOP, _WINDOW = 22_050, 2_048, 8_192
_FINE = 3
_BINS = np.arange((LOWEST - 1) * _FINE, (HIGHEST + 13) * _FINE + 1) / _FINE
_TUNED_FROM = 64
_PARTIALS = 16
_DAMPING = 0.7


def note_spectra(sources: Sequence[Source], watch: Watch = UNWATCHED) -> Floats:
    """The magnitudes of several sources added up, three values a semitone, each 93 ms. Shape: (frames, bins)."""
    totals: list[Floats] = []
    for at, source in enumerate(sources):
        parts = []
        for spectrum in magnitudes(source, _RATE, _WINDOW, _HOP):
            parts.append(spectrum[:, : _to_bins().shape[0]] @ _to_bins())
            watch.at((at + sum(map(len, parts)) / (source.frames / source.sample_rate * FPS + 1)) / len(sources))
        totals.append(np.concatenate(parts))
    longest = max(len(t) for t in totals)
    return np.asarray(sum(np.pad(t, ((0, longest - len(t)), (0, 0))) for t in totals), np.float32)


@cache
def _to_bins() -> Floats:
    """Weights from the bins of a spectrum to thirds of semitones: triangles as wide as either. Shape: (fft, bins)."""
    hz = np.arange(1, _WINDOW // 2) * _RATE / _WINDOW
    pitch = 69 + 12 * np.log2(hz / 440)
    width = np.maximum(np.diff(pitch, append=pitch[-1]), 1 / _FINE)
    weights = np.maximum(1 - np.abs(pitch[:, None] - _BINS[None, :]) / width[:, None], 0)
    used = np.flatnonzero(weights.any(axis=1))[-1] + 1
    return np.asarray(np.concatenate([np.zeros((1, len(_BINS))), weights[:used]]), np.float32)


def tuning(spectra: Floats) -> float:
    """How far the music is from A4 = 440 Hz, in semitones from -0.5 to 0.5, by its spectra's place in the semitone."""
    high = _BINS >= _TUNED_FROM
    strength = np.sqrt(spectra[:, high].astype(np.float64)).mean(axis=0)
    strength = np.maximum(strength - uniform_filter1d(strength, 3 * _FINE), 0)
    return float(np.angle((strength * np.exp(2j * np.pi * _BINS[high])).sum()) / (2 * np.pi))


def note_energies(spectra: Floats) -> Doubles:
    """How strongly each note sounds, each 186 ms. Shape: (steps, notes), the lowest note first."""
    pairs = np.pad(spectra, ((0, len(spectra) % 2), (0, 0)), mode="edge").reshape(-1, 2, spectra.shape[1])
    shifted = _BINS + tuning(spectra)
    rows = np.array([np.interp(shifted, _BINS, row) for row in pairs.mean(axis=1, dtype=np.float64)])
    notes = _dictionary()
    return np.array([nnls(notes, row, maxiter=10 * notes.shape[1])[0] for row in _whitened(rows)])


def folded(notes: Doubles, centre: float, width: float) -> Doubles:
    """Note energies as pitch classes, each note counting less the further from `centre` (MIDI). Shape: (beats, 12)."""
    pitches = np.arange(LOWEST, LOWEST + notes.shape[1])
    weighted = notes * np.exp(-0.5 * ((pitches - centre) / width) ** 2)
    return np.stack([weighted[:, pitches % 12 == c].sum(axis=1) for c in range(12)], axis=1)


def synced(energies: Doubles, beats_s: Doubles) -> Doubles:
    """The mean over each beat, to the next one. Shape: (beats, notes)."""
    edges = np.append(beats_s, beats_s[-1] + (beats_s[-1] - beats_s[-2])) * FPS / 2
    sums = np.concatenate([np.zeros((1, energies.shape[1])), np.cumsum(energies, axis=0)])
    steps = np.arange(len(sums))
    reached = np.array([np.interp(edges, steps, column) for column in sums.T]).T
    return np.asarray(np.diff(reached, axis=0) / np.maximum(np.diff(edges), 1e-9)[:, None])


def _whitened(rows: Doubles) -> Doubles:
    """What stands out of the octave around it, in units of that octave's spread; the square root of it."""
    mean = uniform_filter1d(rows, 12 * _FINE + 1, axis=1)
    spread = np.sqrt(np.maximum(uniform_filter1d(rows**2, 12 * _FINE + 1, axis=1) - mean**2, 0))
    floor = 1e-3 * rows.max() + 1e-12
    return np.asarray(np.sqrt(np.maximum(rows - mean, 0) / np.maximum(spread, floor)))


@cache
def _dictionary() -> Doubles:
    """The spectrum of each note: partials that fall by a factor each. Shape: (bins, notes)."""
    pitches = np.arange(LOWEST, HIGHEST + 1)
    columns = np.zeros((len(_BINS), len(pitches)))
    for partial in range(1, _PARTIALS + 1):
        away = np.abs(_BINS[:, None] - (pitches[None, :] + 12 * np.log2(partial)))
        columns += _DAMPING ** (partial - 1) * np.maximum(1 - away / 0.67, 0)
    return np.asarray(columns / np.linalg.norm(columns, axis=0))
