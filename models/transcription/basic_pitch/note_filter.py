"""Note filter: a logistic regression on posteriors around each decoded note, against overtones, repeats and leaks."""

from dataclasses import astuple, dataclass

import numpy as np

from models.core.dtypes import DoubleArray
from models.core.types import Note
from models.transcription.basic_pitch.coefficients import NoteCoefficients, SongNoteCoefficients
from models.transcription.basic_pitch.network import BASE_PITCH, Posteriors

_BEFORE, _LONGEST = 8, 30


@dataclass(frozen=True, eq=False)
class SongPosteriors:
    """Posteriors of the rest of a song, frame by frame: of its mix, its bass and the counterpart stem."""

    mix: Posteriors
    bass: Posteriors
    counterpart: Posteriors


def note_probabilities_in_song(
    posteriors: Posteriors,
    song: SongPosteriors,
    notes: tuple[Note, ...],
    loudness: DoubleArray,
    coefficients: SongNoteCoefficients,
) -> DoubleArray:
    """As `note_probabilities`, with the posteriors of the rest of the song. Shape: (notes,)."""
    logits = _logits(posteriors, notes, loudness, coefficients.stem)
    for other, weights in (
        (song.mix, coefficients.mix),
        (song.bass, coefficients.bass),
        (song.counterpart, coefficients.counterpart),
    ):
        if len(other.frames):
            times = other.times()
            logits += np.array([_pitch_features(other, times, note) for note in notes]).reshape(-1, 3) @ np.array(
                weights
            )
    return np.asarray(1 / (1 + np.exp(-logits)))


def note_probabilities(
    posteriors: Posteriors, notes: tuple[Note, ...], loudness: DoubleArray, coefficients: NoteCoefficients
) -> DoubleArray:
    """The probability of each note, 0..1; `loudness` is in units of 20 dB. Shape: (notes,)."""
    return np.asarray(1 / (1 + np.exp(-_logits(posteriors, notes, loudness, coefficients))))


def _logits(
    posteriors: Posteriors, notes: tuple[Note, ...], loudness: DoubleArray, coefficients: NoteCoefficients
) -> DoubleArray:
    times = posteriors.times()
    rows = [(*_note_features(posteriors, times, note), level, 1.0) for note, level in zip(notes, loudness, strict=True)]
    return np.asarray(np.array(rows).reshape(-1, len(astuple(coefficients))) @ np.array(astuple(coefficients)))


def _pitch_features(posteriors: Posteriors, times: DoubleArray, note: Note) -> tuple[float, float, float]:
    """Onset, sounding and before, as in `NoteCoefficients`, of a note's pitch."""
    onset, sounding, before = _note_features(posteriors, times, note)[:3]
    return onset, sounding, before


def _note_features(posteriors: Posteriors, times: DoubleArray, note: Note) -> tuple[float, ...]:
    """The features of a note, in the order of `NoteCoefficients`."""
    frames, onsets = posteriors.frames, posteriors.onsets
    start = min(max(int(np.searchsorted(times, note.onset_s + 1e-6)) - 1, 0), len(frames) - 1)
    stop = max(int(np.searchsorted(times, note.onset_s + note.duration_s)), start + 3)
    column = note.pitch - BASE_PITCH

    def sounding(steps: int) -> float:
        row = column + steps
        return float(frames[start : min(stop, start + _LONGEST), row].mean()) if 0 <= row < frames.shape[1] else 0.0

    def onset(steps: int) -> float:
        row = column + steps
        return float(onsets[max(start - 3, 0) : start + 4, row].max()) if 0 <= row < frames.shape[1] else 0.0

    before = float(frames[max(start - _BEFORE, 0) : max(start - 2, 1), column].mean()) if start > 2 else 0.0
    meanwhile = (sounding(steps) for steps in (-12, 12, -19, 19, -24))
    return (onset(0), sounding(0), before, *meanwhile, onset(-12), onset(12))
