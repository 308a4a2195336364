"""The sung melody: by its pitch track where a voice is heard, by Basic Pitch where there is too little of it."""

from dataclasses import dataclass, field

import numpy as np

from models.basic_pitch.network import LOWEST_PITCH, Posteriors, posteriors
from models.basic_pitch.transcribe import MELODY, TranscribeSettings, notes_in
from models.pitch import F0
from models.progress import UNWATCHED, Watch
from models.records import Note, Source
from models.vocal_notes import VocalNoteSettings, vocal_notes

_LOWEST, _HIGHEST = 36, 87


@dataclass(frozen=True)
class MelodySettings:
    """How a melody is written down.

    The pitch track is believed where Basic Pitch hears its pitch, too, among the strongest in `least_agreement` of the
    voiced frames; else the stem holds leaks of a band rather than a voice, and only Basic Pitch is asked.
    """

    sung: VocalNoteSettings = field(default_factory=VocalNoteSettings)
    leaky: TranscribeSettings = MELODY
    least_agreement: float = 0.6


def melody_notes(
    f0: F0, source: Source, settings: MelodySettings = MelodySettings(), watch: Watch = UNWATCHED
) -> tuple[Note, ...]:
    """The notes of a vocal stem, sorted by onset; none where nothing is voiced."""
    if not np.any(f0.hz > 0):
        return ()
    return melody_in(posteriors(source, settings.leaky.batch, settings.leaky.threads, watch), f0, source, settings)


def melody_in(found: Posteriors, f0: F0, source: Source, settings: MelodySettings) -> tuple[Note, ...]:
    """The notes of a vocal stem whose posteriors are known."""
    if agreement(f0, found) >= settings.least_agreement:
        return vocal_notes(f0, source, settings.sung)
    return notes_in(found, source, settings.leaky)


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
