"""NNLS chroma: a log-frequency spectrum decomposed into notes with their overtones, and pitch classes of them by beat.

Mauch and Dixon, "Approximate note transcription for the improved identification of difficult chords", ISMIR 2010.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.optimize import nnls

from models.audio.framing import magnitudes
from models.core.dtypes import DoubleArray, FloatArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Source

MIN_PITCH, MAX_PITCH = 28, 99
"""The range of notes, as MIDI pitches."""
NOTES = MAX_PITCH - MIN_PITCH + 1
FPS = 22_050 / 2_048
"""Spectra a second."""
_RATE, _HOP, _WINDOW = 22_050, 2_048, 8_192
_FINE = 3
_BINS = np.arange((MIN_PITCH - 1) * _FINE, (MAX_PITCH + 13) * _FINE + 1) / _FINE
_TUNED_FROM = 64
_PARTIALS = 16
_DAMPING = 0.7


def note_spectra(sources: Sequence[Source], watch: Watch = UNWATCHED) -> FloatArray:
    """Log-frequency magnitudes of several sources summed, three bins a semitone, every 93 ms. Shape: (frames, bins)."""
    spectra_by_source: list[FloatArray] = []
    for at, source in enumerate(sources):
        parts = []
        for spectrum in magnitudes(source, _RATE, _WINDOW, _HOP):
            parts.append(spectrum[:, : _filter_bank().shape[0]] @ _filter_bank())
            watch.at((at + sum(map(len, parts)) / (source.frames / source.sample_rate * FPS + 1)) / len(sources))
        spectra_by_source.append(np.concatenate(parts))
    longest = max(len(t) for t in spectra_by_source)
    return np.asarray(sum(np.pad(t, ((0, longest - len(t)), (0, 0))) for t in spectra_by_source), np.float32)


@cache
def _filter_bank() -> FloatArray:
    """Triangular filters from FFT bins to thirds of semitones. Shape: (fft, bins)."""
    hz = np.arange(1, _WINDOW // 2) * _RATE / _WINDOW
    pitch = 69 + 12 * np.log2(hz / 440)
    width = np.maximum(np.diff(pitch, append=pitch[-1]), 1 / _FINE)
    weights = np.maximum(1 - np.abs(pitch[:, None] - _BINS[None, :]) / width[:, None], 0)
    used = np.flatnonzero(weights.any(axis=1))[-1] + 1
    return np.asarray(np.concatenate([np.zeros((1, len(_BINS))), weights[:used]]), np.float32)


def tuning(spectra: FloatArray) -> float:
    """Deviation from A4 = 440 Hz in semitones, -0.5..0.5: circular mean of the spectra's phase in the semitone."""
    high = _BINS >= _TUNED_FROM
    salience = np.sqrt(spectra[:, high].astype(np.float64)).mean(axis=0)
    salience = np.maximum(salience - uniform_filter1d(salience, 3 * _FINE), 0)
    return float(np.angle((salience * np.exp(2j * np.pi * _BINS[high])).sum()) / (2 * np.pi))


def note_energies(spectra: FloatArray) -> DoubleArray:
    """NNLS activation of each note, every 186 ms. Shape: (steps, notes), the lowest note first."""
    pairs = np.pad(spectra, ((0, len(spectra) % 2), (0, 0)), mode="edge").reshape(-1, 2, spectra.shape[1])
    shifted = _BINS + tuning(spectra)
    rows = np.array([np.interp(shifted, _BINS, row) for row in pairs.mean(axis=1, dtype=np.float64)])
    notes = _note_templates()
    return np.array([nnls(notes, row, maxiter=10 * notes.shape[1])[0] for row in _whitened(rows)])


def fold_to_chroma(notes: DoubleArray, centre: float, width: float) -> DoubleArray:
    """Note energies folded to pitch classes, with Gaussian weights around `centre` (MIDI). Shape: (beats, 12)."""
    pitches = np.arange(MIN_PITCH, MIN_PITCH + notes.shape[1])
    weighted = notes * np.exp(-0.5 * ((pitches - centre) / width) ** 2)
    return np.stack([weighted[:, pitches % 12 == c].sum(axis=1) for c in range(12)], axis=1)


def beat_synchronous(energies: DoubleArray, beats_s: DoubleArray) -> DoubleArray:
    """The mean over each beat, to the next one. Shape: (beats, notes)."""
    edges = np.append(beats_s, beats_s[-1] + (beats_s[-1] - beats_s[-2])) * FPS / 2
    sums = np.concatenate([np.zeros((1, energies.shape[1])), np.cumsum(energies, axis=0)])
    steps = np.arange(len(sums))
    cumulative = np.array([np.interp(edges, steps, column) for column in sums.T]).T
    return np.asarray(np.diff(cumulative, axis=0) / np.maximum(np.diff(edges), 1e-9)[:, None])


def _whitened(rows: DoubleArray) -> DoubleArray:
    """Square root of each bin's excess over the mean of its octave, in units of that octave's standard deviation."""
    mean = uniform_filter1d(rows, 12 * _FINE + 1, axis=1)
    spread = np.sqrt(np.maximum(uniform_filter1d(rows**2, 12 * _FINE + 1, axis=1) - mean**2, 0))
    floor = 1e-3 * rows.max() + 1e-12
    return np.asarray(np.sqrt(np.maximum(rows - mean, 0) / np.maximum(spread, floor)))


@cache
def _note_templates() -> DoubleArray:
    """Note templates: partials of geometrically falling amplitude. Shape: (bins, notes)."""
    pitches = np.arange(MIN_PITCH, MAX_PITCH + 1)
    columns = np.zeros((len(_BINS), len(pitches)))
    for partial in range(1, _PARTIALS + 1):
        distance = np.abs(_BINS[:, None] - (pitches[None, :] + 12 * np.log2(partial)))
        columns += _DAMPING ** (partial - 1) * np.maximum(1 - distance / 0.67, 0)
    return np.asarray(columns / np.linalg.norm(columns, axis=0))
