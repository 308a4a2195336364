"""The notes of a stem: Basic Pitch's posteriors decoded with settings that suit the stem."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.audio.framing import levels_db, velocity
from models.core.progress import UNWATCHED, Watch
from models.core.types import Note, Source
from models.core.validation import check_ranges
from models.transcription.basic_pitch.network import LOWEST_PITCH, Posteriors, posteriors
from models.transcription.basic_pitch.note_filter import (
    BASS_EVIDENCE,
    HARMONY_EVIDENCE,
    HARMONY_IN_SONG,
    MELODY_EVIDENCE,
    MELODY_IN_SONG,
    Evidence,
    InSong,
    SongEvidence,
    beliefs,
    beliefs_in_song,
)

Floats = NDArray[np.float32]
_LEVEL_HOP_S = 0.01
_SAME_S = 0.03


@dataclass(frozen=True)
class TranscribeSettings:
    """How posteriors become notes.

    A note starts where the onset posterior peaks above `onset_threshold` and lasts while the frame posterior stays
    above `frame_threshold` (but for gaps of up to `gap_s`); shorter ones than `minimum_s` are dropped, and so are those
    that the `evidence` (None: whatever it says) makes less likely than `belief`. Where the rest of the song is known,
    notes are looked for in its mix, too, and `song_evidence` and `song_belief` judge. Pitches outside
    `lowest`..`highest` (MIDI) are not looked for. `single_voice`: at most one note at a time. `batch` windows of 2 s
    are computed at once on `threads` CPU threads.
    """

    onset_threshold: float = 0.5
    frame_threshold: float = 0.3
    minimum_s: float = 0.08
    gap_s: float = 0.13
    lowest: int = 21
    highest: int = 108
    evidence: Evidence | None = None
    belief: float = 0.0
    song_evidence: SongEvidence | None = None
    song_belief: float = 0.0
    single_voice: bool = False
    batch: int = 8
    threads: int = 1

    def __post_init__(self) -> None:
        check_ranges(self, onset_threshold=(0, 1), frame_threshold=(0, 1), belief=(0, 1), song_belief=(0, 1))
        check_ranges(self, minimum_s=(0, 10), gap_s=(0, 10), lowest=(0, 127), highest=(0, 127))
        check_ranges(self, batch=(1, 1024), threads=(1, 256))


BASS = TranscribeSettings(0.3, 0.3, lowest=26, highest=67, evidence=BASS_EVIDENCE, belief=0.12, single_voice=True)
"""For a bass stem: low, one voice."""

OTHER = TranscribeSettings(
    onset_threshold=0.25,
    frame_threshold=0.2,
    lowest=33,
    highest=100,
    evidence=HARMONY_EVIDENCE,
    belief=0.1,
    song_evidence=HARMONY_IN_SONG,
    song_belief=0.25,
)
"""For a stem of harmony: many voices."""

MELODY = TranscribeSettings(
    onset_threshold=0.2,
    frame_threshold=0.2,
    lowest=45,
    highest=88,
    evidence=MELODY_EVIDENCE,
    belief=0.05,
    song_evidence=MELODY_IN_SONG,
    song_belief=0.16,
    single_voice=True,
)
"""For what a separator left of a melody: the middle of the keyboard, one voice."""


def transcribe(
    source: Source, settings: TranscribeSettings, watch: Watch = UNWATCHED, song: InSong | None = None
) -> tuple[Note, ...]:
    """The notes of a stem, sorted by onset, then pitch; none for silence. Velocities follow the stem's loudness.

    Reads the source block by block; memory grows by 3.6 MB a minute of audio.
    """
    found = posteriors(source, settings.batch, settings.threads, watch.span(0.0, 0.9))
    notes = notes_in(found, source, settings, song)
    watch.at(1.0)
    return notes


def notes_in(
    found: Posteriors, source: Source, settings: TranscribeSettings, song: InSong | None = None
) -> tuple[Note, ...]:
    """The notes of a stem whose posteriors are known, and those of the rest of its `song` where they are."""
    notes = decode(found, settings)
    if song is not None and settings.song_evidence is not None and len(found.frames):
        notes = _with_more(notes, decode(song.mix, settings))
    if not notes:
        return ()
    level = levels_db(source, _LEVEL_HOP_S, int(max(n.onset_s for n in notes) / _LEVEL_HOP_S) + 12)
    loud_db = float(np.percentile(level, 95))
    onsets = [int(n.onset_s / _LEVEL_HOP_S) for n in notes]
    heard = np.array([float(level[i : i + 10].max()) for i in onsets])
    belief, least = _beliefs(found, notes, (heard - loud_db) / 20, settings, song)
    likely = np.flatnonzero(belief >= least)
    notes, heard, belief = tuple(notes[i] for i in likely), heard[likely], belief[likely]
    strengths = {(n.onset_s, n.pitch): velocity(float(db), loud_db) for n, db in zip(notes, heard, strict=True)}
    line = _one_at_a_time(notes, belief, settings.minimum_s) if settings.single_voice else notes
    return tuple(replace(n, velocity=strengths[n.onset_s, n.pitch]) for n in line)


def _beliefs(
    found: Posteriors,
    notes: tuple[Note, ...],
    loudness: NDArray[np.float64],
    settings: TranscribeSettings,
    song: InSong | None,
) -> tuple[NDArray[np.float64], float]:
    """How likely each of the notes is, and how likely one must be; by their amplitude where nothing else is known."""
    if song is not None and settings.song_evidence is not None:
        return beliefs_in_song(found, song, notes, loudness, settings.song_evidence), settings.song_belief
    if settings.evidence is not None:
        return beliefs(found, notes, loudness, settings.evidence), settings.belief
    return np.array([note.velocity / 127 for note in notes]), 0.0


def _with_more(notes: tuple[Note, ...], others: tuple[Note, ...]) -> tuple[Note, ...]:
    """The notes, and of the others those that no note of their pitch begins beside. Sorted by onset, then pitch."""
    begun = {(round(n.onset_s / _SAME_S) + step, n.pitch) for n in notes for step in (-1, 0, 1)}
    new = tuple(n for n in others if (round(n.onset_s / _SAME_S), n.pitch) not in begun)
    return tuple(sorted(notes + new, key=lambda n: (n.onset_s, n.pitch)))


def decode(found: Posteriors, settings: TranscribeSettings) -> tuple[Note, ...]:
    """All notes that posteriors suggest, sorted; velocity is the mean frame posterior."""
    times = found.times()
    if len(found.frames) < 3:
        return ()
    hop_s = float(np.median(np.diff(times)))
    gap, shortest = round(settings.gap_s / hop_s), max(round(settings.minimum_s / hop_s), 1)
    low, high = settings.lowest - LOWEST_PITCH, settings.highest - LOWEST_PITCH + 1
    frames, onsets = found.frames[:, low:high], _with_rises(found)[:, low:high]
    left = frames.copy()
    notes = []
    rising = (onsets[1:-1] > onsets[:-2]) & (onsets[1:-1] >= onsets[2:]) & (onsets[1:-1] >= settings.onset_threshold)
    for start, column in sorted(zip(*np.nonzero(rising), strict=True), reverse=True):
        begin = int(start) + 1
        stop = _end(left[:, column], begin, settings.frame_threshold, gap)
        if stop - begin < shortest:
            continue
        amplitude = float(frames[begin:stop, column].mean())
        left[begin:stop, max(column - 1, 0) : column + 2] = 0
        pitch = int(column) + settings.lowest
        notes.append(Note(float(times[begin]), float(times[stop] - times[begin]), pitch, _velocity(amplitude)))
    return tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))


def _with_rises(found: Posteriors) -> Floats:
    """The onsets, and sudden rises of the frame posterior scaled to the same height. Shape: (frames, pitches)."""
    frames = found.frames
    rise = np.zeros_like(frames)
    rise[2:] = np.minimum(frames[2:] - frames[1:-1], frames[2:] - frames[:-2]).clip(min=0)
    highest = float(rise.max())
    return np.maximum(found.onsets, rise * (float(found.onsets.max()) / highest)) if highest > 0 else found.onsets


def _end(column: Floats, start: int, threshold: float, gap: int) -> int:
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


def _one_at_a_time(notes: tuple[Note, ...], belief: NDArray[np.float64], shortest_s: float) -> tuple[Note, ...]:
    """At most one note at a time: of those that start together the likeliest stays; each ends where the next starts."""
    kept: list[int] = []
    for i, note in enumerate(notes):
        if kept and note.onset_s - notes[kept[-1]].onset_s < shortest_s:
            if belief[i] > belief[kept[-1]]:
                kept[-1] = i
            continue
        kept.append(i)
    line = [notes[i] for i in kept]
    ended = zip(line, [*(n.onset_s for n in line), np.inf][1:], strict=True)
    return tuple(Note(n.onset_s, min(n.duration_s, until - n.onset_s), n.pitch, n.velocity) for n, until in ended)
