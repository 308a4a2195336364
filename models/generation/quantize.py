"""Quantization of a `Score` to the ticks of its `Grid`, and the way back to seconds."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from models.core.dtypes import IntArray
from models.core.types import Grid, Note, Score, Track
from models.generation.chords import chord_rows, key_shift, shift_of_key
from models.generation.tokenizer import DRUMS, FAMILIES, MAX_METRE, TICKS, Piece
from models.symbolic.beat_map import beats_to_seconds, downbeat_indices, seconds_to_beats

DEFAULT_PROGRAMS = {"drums": 0, "bass": 33, "piano": 0, "guitar": 25, "strings": 48, "melody": 73}
"""General MIDI programs of tracks that the prompt does not have."""

FAMILY_OF_PROGRAM = tuple(
    FAMILIES.index(name)
    for name, programs in (
        ("piano", 16), ("strings", 8), ("guitar", 8), ("bass", 8), ("strings", 16), ("melody", 32), ("strings", 16),
        ("guitar", 8), ("piano", 16),
    )
    for _ in range(programs)
)  # fmt: skip
"""The family of each General MIDI program: organs and pads count as strings, winds and synth leads as melody."""

_ROUNDING_S = 0.03
"""How far before its bar a note may lie, in seconds, and still be of it: quantization may have moved it forward."""


@dataclass(frozen=True)
class QuantizedScore:
    """A quantized score; `bar_starts` (bars + 1,) are the bars' first beats on the grid, maybe negative."""

    piece: Piece
    bar_starts: IntArray


def quantize(score: Score, grid: Grid, until_s: float, start_s: float | None = None) -> tuple[QuantizedScore, int]:
    """A score quantized to whole bars up to `until_s`, and which bar begins at `start_s` (the first without it).

    Notes from `start_s` on are left out. The bars follow the grid's downbeats up to `start_s`, its metre after that.
    """
    notes = _notes(score, grid)
    end = round(float(seconds_to_beats(grid, until_s)) + 0.49)
    downbeats = np.unique(np.array(downbeat_indices(grid), np.int64))
    if start_s is None:
        starts = fill_bar_starts(downbeats[downbeats < end], grid.metre, end - 1)
    else:
        anchor = round(float(seconds_to_beats(grid, start_s)))
        starts = fill_bar_starts(np.append(downbeats[downbeats < anchor], anchor), grid.metre, max(end - 1, anchor))
        notes = notes[notes[:, 0] < anchor * TICKS]
    first = int(notes[:, 0].min()) // TICKS if len(notes) else int(starts[0])
    while starts[0] > first:
        starts = np.append(starts[0] - grid.metre, starts)
    starts = _split_long_bars(starts, MAX_METRE)
    inside = notes[notes[:, 0] < starts[-1] * TICKS]
    bar = np.searchsorted(starts * TICKS, inside[:, 0], side="right") - 1
    rows = np.column_stack([bar, inside[:, 0] - starts[bar] * TICKS, inside[:, 1:]]).reshape(-1, 5)
    beats = np.diff(starts)
    chords = chord_rows([(i * TICKS, label) for i, label in enumerate(grid.chords)], starts[:-1], beats)
    readable = any(letter in grid.key[:1].upper() for letter in "ABCDEFG" if grid.key)
    shift = shift_of_key(grid.key) if readable else key_shift(rows)
    piece = Piece(grid.metre, grid.tempo_bpm, shift, beats, np.unique(rows, axis=0).astype(np.int64), chords)
    return QuantizedScore(piece, starts), 0 if start_s is None else int(np.searchsorted(starts, anchor))


def _notes(score: Score, grid: Grid) -> IntArray:
    """Onset in ticks of the grid, family, pitch, duration in ticks. Shape: (notes, 4)."""
    rows = [
        (note.onset_s, note.onset_s + note.duration_s, family_of(track), note.pitch)
        for track in score.tracks
        for note in track.notes
    ]
    table = np.array(rows, np.float64).reshape(-1, 4)
    clipped_onset, end = (np.round(seconds_to_beats(grid, table[:, i]) * TICKS) for i in (0, 1))
    length = np.maximum(end - clipped_onset, 1)
    return np.column_stack([clipped_onset, table[:, 2:], length]).astype(np.int64)


def fill_bar_starts(downbeats: IntArray, metre: int, end: int) -> IntArray:
    """Bar starts, in beats, from the downbeats to past `end`; gaps between downbeats are filled by the metre."""
    starts = list(downbeats) or [0]
    while starts[0] > 0:
        starts.insert(0, starts[0] - metre)
    while starts[-1] <= end:
        starts.append(starts[-1] + metre)
    filled = []
    for a, b in pairwise(starts):
        filled += [a] if b - a <= max(metre, MAX_METRE) and b - a < 2 * metre else list(range(a, b, metre))
    return np.array([*filled, starts[-1]], np.int64)


def _split_long_bars(starts: IntArray, beats: int) -> IntArray:
    """Bars longer than `beats` split into parts as equal as whole beats allow."""
    parts: list[int] = []
    for a, b in pairwise(starts.tolist()):
        pieces = -(-(b - a) // beats)
        parts += [a + (b - a) * i // pieces for i in range(pieces)]
    return np.array([*parts, starts[-1]], np.int64)


def family_of(track: Track) -> int:
    """The family of a track: by its name where that names one, else by its program."""
    if track.is_drum:
        return DRUMS
    name = track.name.lower()
    named = next((i for i, family in enumerate(FAMILIES) if i != DRUMS and family in name), None)
    if named is None and any(word in name for word in ("vocal", "voice", "lead")):
        named = FAMILIES.index("melody")
    return FAMILY_OF_PROGRAM[track.program] if named is None else named


def dequantize(
    rows: IntArray, quantized: QuantizedScore, grid: Grid, prompt: Score, start_s: float, end_s: float
) -> Score:
    """Rows of `Piece.notes` as tracks in seconds on the prompt's instruments, all inside [start_s, end_s].

    The first bar may begin before `start_s`: notes that end before it are dropped, notes that last into it are trimmed.
    """
    onset_beats = quantized.bar_starts[rows[:, 0]] + rows[:, 1] / TICKS
    onset_s, offset_s = beats_to_seconds(grid, onset_beats), beats_to_seconds(grid, onset_beats + rows[:, 4] / TICKS)
    clipped_onset = np.maximum(onset_s, start_s)
    inside = (onset_s > start_s - _ROUNDING_S) | ((rows[:, 2] != DRUMS) & (offset_s > start_s + _ROUNDING_S))
    velocities = _median_velocities(prompt)
    tracks = []
    for family in sorted(set(rows[:, 2].tolist())):
        name, program = _instrument(family, prompt)
        notes = [
            Note(
                onset_s=float(clipped_onset[i]),
                duration_s=float(max(min(offset_s[i], end_s) - clipped_onset[i], 0.01)),
                pitch=int(rows[i, 3]),
                velocity=_accented_velocity(velocities.get(family, 80), int(rows[i, 1])),
            )
            for i in np.flatnonzero(rows[:, 2] == family)
            if inside[i] and clipped_onset[i] < end_s
        ]
        ordered = tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))
        tracks.append(Track(name, program, family == DRUMS, ordered))
    return Score(tuple(tracks))


def _instrument(family: int, prompt: Score) -> tuple[str, int]:
    """Name and program of the prompt's busiest track of a family, or the default ones."""
    own = [t for t in prompt.tracks if family_of(t) == family and t.notes]
    if own:
        busiest = max(own, key=lambda t: len(t.notes))
        return busiest.name, busiest.program
    return FAMILIES[family], DEFAULT_PROGRAMS[FAMILIES[family]]


def _median_velocities(prompt: Score) -> dict[int, int]:
    """The median velocity of each family in the prompt."""
    velocities: dict[int, list[int]] = {}
    for track in prompt.tracks:
        velocities.setdefault(family_of(track), []).extend(n.velocity for n in track.notes)
    return {family: int(np.median(values)) for family, values in velocities.items() if values}


def _accented_velocity(level: int, tick: int) -> int:
    """`level` with an accent on the bar's first beat and a smaller one on the other beats."""
    accent = 8 if tick == 0 else 3 if tick % TICKS == 0 else -4
    return int(np.clip(level + accent, 1, 127))


def drop_silent_bars(piece: Piece, before: int) -> tuple[Piece, int]:
    """The piece without the silent bars just before bar `before`, and their number.

    The network would continue the silence.
    """
    note_bars = piece.notes[piece.notes[:, 0] < before, 0]
    last = int(note_bars.max()) + 1 if len(note_bars) else 0
    gap = before - last
    beats = np.delete(piece.bar_beats, slice(last, before))
    notes = np.concatenate([piece.notes[piece.notes[:, 0] < last], piece.notes[piece.notes[:, 0] >= before]])
    chords = np.concatenate([piece.chords[piece.chords[:, 0] < last], piece.chords[piece.chords[:, 0] >= before]])
    for rows in (notes, chords):
        rows[rows[:, 0] >= before, 0] -= gap
    return replace(piece, bar_beats=beats, notes=notes, chords=chords), gap


def repeat_chords(piece: Piece, start: int, loop: int = 8) -> Piece:
    """The piece with the chords of the `loop` bars before bar `start` repeated from there on."""
    source = piece.chords[(piece.chords[:, 0] >= start - loop) & (piece.chords[:, 0] < start)]
    again = [source + np.array([bar, 0, 0]) for bar in range(loop, piece.bars - start + loop, loop)]
    chords = np.concatenate([piece.chords[piece.chords[:, 0] < start], *again])
    return replace(piece, chords=chords[chords[:, 0] < piece.bars])


def active_families(piece: Piece, before: int) -> list[int]:
    """The families that play in the 16 bars before bar `before`, else anywhere before it.

    A family counts from one note in four bars on, so that stray transcribed notes do not.
    """
    for first in (before - 16, 0):
        counts = Counter(piece.notes[(piece.notes[:, 0] >= first) & (piece.notes[:, 0] < before), 2].tolist())
        bars = max(before - max(first, 0), 1)
        playing = sorted(family for family, count in counts.items() if count >= bars / 4)
        if playing:
            return playing
    return []
