"""The melody of a vocal stem: from its pitch track where that is reliable, else from Basic Pitch."""

from dataclasses import replace

import numpy as np

from models.analysis.f0 import F0
from models.core.types import Note, Source
from models.transcription.basic_pitch.decode import decode_notes
from models.transcription.basic_pitch.network import BASE_PITCH, Posteriors
from models.transcription.basic_pitch.note_filter import SongPosteriors
from models.transcription.settings import MelodySettings
from models.transcription.vocals import vocal_notes

_MIN_PITCH, _MAX_PITCH = 36, 87


def transcribe_melody(
    posteriors: Posteriors, f0: F0, source: Source, settings: MelodySettings, song: SongPosteriors | None = None
) -> tuple[Note, ...]:
    """The notes of a vocal stem from its pitch track and posteriors, and those of the rest of its `song`."""
    if pitch_agreement(f0, posteriors) >= settings.least_agreement:
        return _snap_onsets(vocal_notes(f0, source, settings.sung), posteriors, settings)
    return decode_notes(posteriors, source, settings.leaky, song)


def _snap_onsets(notes: tuple[Note, ...], posteriors: Posteriors, settings: MelodySettings) -> tuple[Note, ...]:
    """The notes, one at a time, with their onsets moved to peaks of the onset posterior."""
    times, snapped = posteriors.times()[:-1], list[Note]()
    for note in notes:
        first, last = np.searchsorted(times, (note.onset_s - settings.near_s, note.onset_s + settings.near_s))
        column = np.clip(note.pitch - BASE_PITCH, 1, posteriors.onsets.shape[1] - 2)
        onset_probs = posteriors.onsets[first:last, column - 1 : column + 2].max(axis=1, initial=0.0)
        onset_s, end_s = note.onset_s, note.onset_s + note.duration_s
        if len(onset_probs) and onset_probs.max() >= settings.least_onset:
            onset_s = float(times[first + onset_probs.argmax()])
        if (snapped and onset_s < snapped[-1].onset_s + settings.sung.minimum_s / 2) or end_s <= onset_s:
            continue
        if snapped:
            previous = snapped[-1]
            snapped[-1] = replace(previous, duration_s=min(previous.duration_s, onset_s - previous.onset_s))
        snapped.append(replace(note, onset_s=onset_s, duration_s=end_s - onset_s))
    return tuple(snapped)


def pitch_agreement(f0: F0, posteriors: Posteriors) -> float:
    """The share of the voiced frames in which the track's pitch is among the strongest frame posteriors."""
    hz = np.asarray(f0.hz, np.float64)
    voiced = np.flatnonzero(hz > 0)
    if not len(voiced) or not len(posteriors.frames):
        return 0.0
    rows = np.clip(np.searchsorted(posteriors.times(), voiced * f0.hop_s) - 1, 0, len(posteriors.frames) - 1)
    columns = np.round(69 + 12 * np.log2(hz[voiced] / 440)).astype(int) - BASE_PITCH
    near = [posteriors.frames[rows, np.clip(columns + step, 0, posteriors.frames.shape[1] - 1)] for step in (-1, 0, 1)]
    in_range = posteriors.frames[rows, _MIN_PITCH - BASE_PITCH : _MAX_PITCH - BASE_PITCH]
    return float(np.mean(np.max(near, axis=0) >= 0.7 * in_range.max(axis=1)))
