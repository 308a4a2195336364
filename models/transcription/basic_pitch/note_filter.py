"""Which of the notes that Basic Pitch's posteriors suggest were played: told from overtones, repeats and leaks.

A logistic model of what the posteriors say around each note. It was fitted to songs of POP909 (those whose number ends
in 3) as their instruments sound and as a separator leaves them; `remix eval transcription` measures it on others.
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from models.core.types import Note
from models.transcription.basic_pitch.network import LOWEST_PITCH, Posteriors

Doubles = NDArray[np.float64]

_BEFORE, _LONGEST = 8, 30


@dataclass(frozen=True)
class Evidence:
    """What speaks for a note (against it, where negative), and `alone`, where nothing does.

    `onset` weighs the onset posterior; `sounding` the frame posterior while it lasts, `before` just before it;
    `octave_below` to `two_octaves_below` those of other notes meanwhile; `onset_below` and `onset_above` the onsets an
    octave away; `loudness` the stem's level there in units of 20 dB below its loud moments.
    """

    onset: float
    sounding: float
    before: float
    octave_below: float
    octave_above: float
    twelfth_below: float
    twelfth_above: float
    two_octaves_below: float
    onset_below: float
    onset_above: float
    loudness: float
    alone: float


BASS_EVIDENCE = Evidence(8.8, 10.5, -6.6, -7.4, -3.3, -3.1, -4.2, -1.5, -1.0, 3.8, 0.0, -9.6)
HARMONY_EVIDENCE = Evidence(4.8, 5.5, -6.7, -1.0, -2.4, -0.5, -0.8, -1.2, 0.9, 3.1, 0.0, -5.7)
MELODY_EVIDENCE = Evidence(2.9, 1.3, -1.7, -1.2, -3.0, 0.9, -6.5, 3.6, 1.9, -1.7, 1.4, -4.3)


@dataclass(frozen=True)
class SongEvidence:
    """What speaks for a note of a stem where the rest of its song is known, too.

    `stem` weighs what its own posteriors say; then, as in `Evidence`, `onset`, `sounding` and `before` of the same
    pitch in the song's mix, its bass and the stem `beside` it: the voice for a harmony, the harmony for a voice.
    """

    stem: Evidence
    mix: tuple[float, float, float]
    bass: tuple[float, float, float]
    beside: tuple[float, float, float]


HARMONY_IN_SONG = SongEvidence(
    Evidence(3.8, 4.3, -3.1, -0.4, -0.8, -0.4, -0.1, -2.3, 1.1, 1.0, 0.0, -5.8),
    mix=(2.1, 0.7, -2.6),
    bass=(0.7, -4.2, -0.2),
    beside=(0.4, 1.1, -0.2),
)
"""Fitted to 44 of those songs, with the stems that the shipped separator leaves and with the true ones."""

MELODY_IN_SONG = SongEvidence(
    Evidence(2.6, 3.9, -3.1, -2.4, -2.7, -1.8, -1.3, -0.5, 1.4, -1.0, 0.4, -3.6),
    mix=(1.2, 4.3, -4.6),
    bass=(-1.0, -3.1, -0.5),
    beside=(0.4, -0.7, -0.8),
)
"""Fitted to 13 of them whose melody is sung, in the same two ways."""


@dataclass(frozen=True, eq=False)
class InSong:
    """What Basic Pitch hears in the rest of a song: in its mix, its bass and the stem beside, frame by frame."""

    mix: Posteriors
    bass: Posteriors
    beside: Posteriors


def beliefs_in_song(
    found: Posteriors, song: InSong, notes: tuple[Note, ...], loudness: Doubles, evidence: SongEvidence
) -> Doubles:
    """As `beliefs`, with what is heard in the rest of the song. Shape: (notes,)."""
    logits = _logits(found, notes, loudness, evidence.stem)
    for heard, weights in ((song.mix, evidence.mix), (song.bass, evidence.bass), (song.beside, evidence.beside)):
        if len(heard.frames):
            times = heard.times()
            logits += np.array([_at(heard, times, note) for note in notes]).reshape(-1, 3) @ np.array(weights)
    return np.asarray(1 / (1 + np.exp(-logits)))


def beliefs(found: Posteriors, notes: tuple[Note, ...], loudness: Doubles, evidence: Evidence) -> Doubles:
    """How likely each note was played, 0..1; `loudness` is in units of 20 dB. Shape: (notes,)."""
    return np.asarray(1 / (1 + np.exp(-_logits(found, notes, loudness, evidence))))


def _logits(found: Posteriors, notes: tuple[Note, ...], loudness: Doubles, evidence: Evidence) -> Doubles:
    times = found.times()
    rows = [(*_around(found, times, note), level, 1.0) for note, level in zip(notes, loudness, strict=True)]
    return np.asarray(np.array(rows).reshape(-1, len(astuple(evidence))) @ np.array(astuple(evidence)))


def _at(heard: Posteriors, times: Doubles, note: Note) -> tuple[float, float, float]:
    """Onset, sounding and before, as in `Evidence`, of a note's pitch."""
    onset, sounding, before = _around(heard, times, note)[:3]
    return onset, sounding, before


def _around(found: Posteriors, times: Doubles, note: Note) -> tuple[float, ...]:
    """What the posteriors say around a note, in the order of `Evidence`."""
    frames, onsets = found.frames, found.onsets
    start = min(max(int(np.searchsorted(times, note.onset_s + 1e-6)) - 1, 0), len(frames) - 1)
    stop = max(int(np.searchsorted(times, note.onset_s + note.duration_s)), start + 3)
    column = note.pitch - LOWEST_PITCH

    def sounding(steps: int) -> float:
        at = column + steps
        return float(frames[start : min(stop, start + _LONGEST), at].mean()) if 0 <= at < frames.shape[1] else 0.0

    def onset(steps: int) -> float:
        at = column + steps
        return float(onsets[max(start - 3, 0) : start + 4, at].max()) if 0 <= at < frames.shape[1] else 0.0

    before = float(frames[max(start - _BEFORE, 0) : max(start - 2, 1), column].mean()) if start > 2 else 0.0
    meanwhile = (sounding(steps) for steps in (-12, 12, -19, 19, -24))
    return (onset(0), sounding(0), before, *meanwhile, onset(-12), onset(12))
