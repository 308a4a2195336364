"""The sung melody: by its pitch track where a voice is heard, by Basic Pitch where there is too little of it."""

from dataclasses import dataclass, field, replace

import numpy as np

from models.analysis.f0 import F0
from models.core.types import Note, Source
from models.core.validation import check_ranges
from models.transcription.basic_pitch.decode import MELODY, TranscribeSettings, notes_in
from models.transcription.basic_pitch.network import LOWEST_PITCH, Posteriors
from models.transcription.basic_pitch.note_filter import InSong
from models.transcription.vocals import VocalNoteSettings, vocal_notes

_LOWEST, _HIGHEST = 36, 87


@dataclass(frozen=True)
class MelodySettings:
    """How a melody is written down.

    The pitch track is believed where Basic Pitch hears its pitch, too, among the strongest in `least_agreement` of the
    voiced frames; else the stem holds leaks of a band rather than a voice, and only Basic Pitch is asked. A note of the
    pitch track, which begins with its voiced consonant, is moved to the likeliest onset that Basic Pitch hears of it
    within `near_s`, where that is likelier than `least_onset`.
    """

    sung: VocalNoteSettings = field(default_factory=VocalNoteSettings)
    leaky: TranscribeSettings = MELODY
    least_agreement: float = 0.85
    near_s: float = 0.1
    least_onset: float = 0.1

    def __post_init__(self) -> None:
        check_ranges(self, least_agreement=(0, 1), near_s=(0, 1), least_onset=(0, 1))


def melody_in(
    found: Posteriors, f0: F0, source: Source, settings: MelodySettings, song: InSong | None = None
) -> tuple[Note, ...]:
    """The notes of a vocal stem from its posteriors, and those of the rest of its `song` where they are known."""
    if agreement(f0, found) >= settings.least_agreement:
        return _on_their_vowels(vocal_notes(f0, source, settings.sung), found, settings)
    return notes_in(found, source, settings.leaky, song)


def _on_their_vowels(notes: tuple[Note, ...], found: Posteriors, settings: MelodySettings) -> tuple[Note, ...]:
    """The notes, one at a time, with their onsets where Basic Pitch hears them begin."""
    times, moved = found.times()[:-1], list[Note]()
    for note in notes:
        first, last = np.searchsorted(times, (note.onset_s - settings.near_s, note.onset_s + settings.near_s))
        column = np.clip(note.pitch - LOWEST_PITCH, 1, found.onsets.shape[1] - 2)
        heard = found.onsets[first:last, column - 1 : column + 2].max(axis=1, initial=0.0)
        onset_s, end_s = note.onset_s, note.onset_s + note.duration_s
        if len(heard) and heard.max() >= settings.least_onset:
            onset_s = float(times[first + heard.argmax()])
        if (moved and onset_s < moved[-1].onset_s + settings.sung.minimum_s / 2) or end_s <= onset_s:
            continue
        if moved:
            before = moved[-1]
            moved[-1] = replace(before, duration_s=min(before.duration_s, onset_s - before.onset_s))
        moved.append(replace(note, onset_s=onset_s, duration_s=end_s - onset_s))
    return tuple(moved)


def agreement(f0: F0, found: Posteriors) -> float:
    """In which share of the voiced frames the track's pitch is among the strongest that Basic Pitch hears there."""
    hz = np.asarray(f0.hz, np.float64)
    voiced = np.flatnonzero(hz > 0)
    if not len(voiced) or not len(found.frames):
        return 0.0
    rows = np.clip(np.searchsorted(found.times(), voiced * f0.hop_s) - 1, 0, len(found.frames) - 1)
    columns = np.round(69 + 12 * np.log2(hz[voiced] / 440)).astype(int) - LOWEST_PITCH
    near = [found.frames[rows, np.clip(columns + step, 0, found.frames.shape[1] - 1)] for step in (-1, 0, 1)]
    sung = found.frames[rows, _LOWEST - LOWEST_PITCH : _HIGHEST - LOWEST_PITCH]
    return float(np.mean(np.max(near, axis=0) >= 0.7 * sung.max(axis=1)))
