"""Decoding of Basic Pitch's posteriors to the notes of a stem."""

from dataclasses import replace

import numpy as np

from models.audio.framing import levels_db, velocity
from models.core.dtypes import DoubleArray, FloatArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Note, Source
from models.transcription.basic_pitch.network import BASE_PITCH, Posteriors, compute_posteriors
from models.transcription.basic_pitch.note_filter import (
    SongPosteriors,
    note_probabilities,
    note_probabilities_in_song,
)
from models.transcription.settings import NoteSettings

_LEVEL_HOP_S = 0.01
_SAME_ONSET_S = 0.03


def transcribe_stem(
    source: Source, settings: NoteSettings, watch: Watch = UNWATCHED, song: SongPosteriors | None = None
) -> tuple[Note, ...]:
    """The notes of a stem, sorted by onset, then pitch; none for silence. Velocities follow the stem's loudness.

    Reads the source block by block; memory grows by 3.6 MB a minute of audio.
    """
    posteriors = compute_posteriors(source, settings.batch, settings.threads, watch.span(0.0, 0.9))
    notes = decode_notes(posteriors, source, settings, song)
    watch.at(1.0)
    return notes


def decode_notes(
    posteriors: Posteriors, source: Source, settings: NoteSettings, song: SongPosteriors | None = None
) -> tuple[Note, ...]:
    """The notes of a stem from its posteriors and, where given, those of the rest of its `song`."""
    notes = note_candidates(posteriors, settings)
    if song is not None and settings.song_coefficients is not None and len(posteriors.frames):
        notes = _merged(notes, note_candidates(song.mix, settings))
    if not notes:
        return ()
    level = levels_db(source, _LEVEL_HOP_S, int(max(n.onset_s for n in notes) / _LEVEL_HOP_S) + 12)
    loud_db = float(np.percentile(level, 95))
    onsets = [int(n.onset_s / _LEVEL_HOP_S) for n in notes]
    levels = np.array([float(level[i : i + 10].max()) for i in onsets])
    probs, threshold = _probabilities(posteriors, notes, (levels - loud_db) / 20, settings, song)
    kept_notes = np.flatnonzero(probs >= threshold)
    notes, levels, probs = tuple(notes[i] for i in kept_notes), levels[kept_notes], probs[kept_notes]
    velocities = {(n.onset_s, n.pitch): velocity(float(db), loud_db) for n, db in zip(notes, levels, strict=True)}
    line = _monophonic(notes, probs, settings.minimum_s) if settings.single_voice else notes
    return tuple(replace(n, velocity=velocities[n.onset_s, n.pitch]) for n in line)


def _probabilities(
    posteriors: Posteriors,
    notes: tuple[Note, ...],
    loudness: DoubleArray,
    settings: NoteSettings,
    song: SongPosteriors | None,
) -> tuple[DoubleArray, float]:
    """The probability of each note and the least one to keep; amplitudes and 0 where no coefficients are set."""
    if song is not None and settings.song_coefficients is not None:
        return note_probabilities_in_song(
            posteriors, song, notes, loudness, settings.song_coefficients
        ), settings.song_min_probability
    if settings.coefficients is not None:
        return note_probabilities(posteriors, notes, loudness, settings.coefficients), settings.min_probability
    return np.array([note.velocity / 127 for note in notes]), 0.0


def _merged(notes: tuple[Note, ...], others: tuple[Note, ...]) -> tuple[Note, ...]:
    """The notes, and those of `others` with no onset of the same pitch near theirs. Sorted by onset, then pitch."""
    onsets = {(round(n.onset_s / _SAME_ONSET_S) + step, n.pitch) for n in notes for step in (-1, 0, 1)}
    new = tuple(n for n in others if (round(n.onset_s / _SAME_ONSET_S), n.pitch) not in onsets)
    return tuple(sorted(notes + new, key=lambda n: (n.onset_s, n.pitch)))


def note_candidates(posteriors: Posteriors, settings: NoteSettings) -> tuple[Note, ...]:
    """All notes above the thresholds, sorted; velocity is the mean frame posterior."""
    times = posteriors.times()
    if len(posteriors.frames) < 3:
        return ()
    hop_s = float(np.median(np.diff(times)))
    gap, shortest = round(settings.gap_s / hop_s), max(round(settings.minimum_s / hop_s), 1)
    low, high = settings.lowest - BASE_PITCH, settings.highest - BASE_PITCH + 1
    frames, onsets = posteriors.frames[:, low:high], _infer_onsets(posteriors)[:, low:high]
    remaining = frames.copy()
    notes = []
    rising = (onsets[1:-1] > onsets[:-2]) & (onsets[1:-1] >= onsets[2:]) & (onsets[1:-1] >= settings.onset_threshold)
    for start, column in sorted(zip(*np.nonzero(rising), strict=True), reverse=True):
        begin = int(start) + 1
        stop = _note_end(remaining[:, column], begin, settings.frame_threshold, gap)
        if stop - begin < shortest:
            continue
        amplitude = float(frames[begin:stop, column].mean())
        remaining[begin:stop, max(column - 1, 0) : column + 2] = 0
        pitch = int(column) + settings.lowest
        notes.append(Note(float(times[begin]), float(times[stop] - times[begin]), pitch, _velocity(amplitude)))
    return tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))


def _infer_onsets(posteriors: Posteriors) -> FloatArray:
    """The maximum of the onset posterior and scaled rises of the frame posterior. Shape: (frames, pitches)."""
    frames = posteriors.frames
    rise = np.zeros_like(frames)
    rise[2:] = np.minimum(frames[2:] - frames[1:-1], frames[2:] - frames[:-2]).clip(min=0)
    highest = float(rise.max())
    return (
        np.maximum(posteriors.onsets, rise * (float(posteriors.onsets.max()) / highest))
        if highest > 0
        else posteriors.onsets
    )


def _note_end(column: FloatArray, start: int, threshold: float, gap: int) -> int:
    """The frame after the last one above the threshold, bridging gaps shorter than `gap` frames."""
    stop, low = start + 1, 0
    for value in column[start + 1 :]:
        low = low + 1 if value < threshold else 0
        if low == gap:
            return stop - gap + 1
        stop += 1
    return stop - low


def _velocity(amplitude: float) -> int:
    return min(max(round(127 * amplitude), 1), 127)


def _monophonic(notes: tuple[Note, ...], probs: DoubleArray, shortest_s: float) -> tuple[Note, ...]:
    """At most one note at a time: of simultaneous onsets the likeliest stays; each note ends where the next starts."""
    kept: list[int] = []
    for i, note in enumerate(notes):
        if kept and note.onset_s - notes[kept[-1]].onset_s < shortest_s:
            if probs[i] > probs[kept[-1]]:
                kept[-1] = i
            continue
        kept.append(i)
    line = [notes[i] for i in kept]
    ended = zip(line, [*(n.onset_s for n in line), np.inf][1:], strict=True)
    return tuple(Note(n.onset_s, min(n.duration_s, until - n.onset_s), n.pitch, n.velocity) for n, until in ended)
