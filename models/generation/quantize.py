"""A `Score` on its `Grid` laid on the lattice, and written bars brought back as a `Score` in seconds."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from models.core.types import Grid, Note, Score, Track
from models.generation.chords import chord_rows, key_shift, shift_of_key
from models.generation.tokenizer import DRUMS, FAMILIES, LARGEST_METRE, TICKS, Ints, Piece
from models.symbolic.beat_map import beats_to_seconds, downbeat_indices, seconds_to_beats

PROGRAMS = {"drums": 0, "bass": 33, "piano": 0, "guitar": 25, "strings": 48, "melody": 73}
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

_EARLY_S = 0.03
"""How far before its bar a note may be and still be of it: rounding to the lattice, in seconds."""


@dataclass(frozen=True)
class Laid:
    """A score on the lattice; `starts` (bars + 1,) are the bars' first beats by the grid, maybe negative."""

    piece: Piece
    starts: Ints


def lay(score: Score, grid: Grid, until_s: float, start_s: float | None = None) -> tuple[Laid, int]:
    """A score with whole bars up to `until_s`, and which bar begins at `start_s` (the first without it).

    Notes from `start_s` on are left out. The bars follow the grid's downbeats up to `start_s`, its metre after that.
    """
    notes = _notes(score, grid)
    end = round(float(seconds_to_beats(grid, until_s)) + 0.49)
    marks = np.unique(np.array(downbeat_indices(grid), np.int64))
    if start_s is None:
        starts = bars_between(marks[marks < end], grid.metre, end - 1)
    else:
        anchor = round(float(seconds_to_beats(grid, start_s)))
        starts = bars_between(np.append(marks[marks < anchor], anchor), grid.metre, max(end - 1, anchor))
        notes = notes[notes[:, 0] < anchor * TICKS]
    first = int(notes[:, 0].min()) // TICKS if len(notes) else int(starts[0])
    while starts[0] > first:
        starts = np.append(starts[0] - grid.metre, starts)
    starts = _at_most(starts, LARGEST_METRE)
    inside = notes[notes[:, 0] < starts[-1] * TICKS]
    bar = np.searchsorted(starts * TICKS, inside[:, 0], side="right") - 1
    rows = np.column_stack([bar, inside[:, 0] - starts[bar] * TICKS, inside[:, 1:]]).reshape(-1, 5)
    beats = np.diff(starts)
    chords = chord_rows([(i * TICKS, label) for i, label in enumerate(grid.chords)], starts[:-1], beats)
    readable = any(letter in grid.key[:1].upper() for letter in "ABCDEFG" if grid.key)
    shift = shift_of_key(grid.key) if readable else key_shift(rows)
    piece = Piece(grid.metre, grid.tempo_bpm, shift, beats, np.unique(rows, axis=0).astype(np.int64), chords)
    return Laid(piece, starts), 0 if start_s is None else int(np.searchsorted(starts, anchor))


def _notes(score: Score, grid: Grid) -> Ints:
    """Onset in ticks of the grid, family, pitch, duration in ticks. Shape: (notes, 4)."""
    rows = [
        (note.onset_s, note.onset_s + note.duration_s, family_of(track), note.pitch)
        for track in score.tracks
        for note in track.notes
    ]
    table = np.array(rows, np.float64).reshape(-1, 4)
    onset, end = (np.round(seconds_to_beats(grid, table[:, i]) * TICKS) for i in (0, 1))
    length = np.maximum(end - onset, 1)
    return np.column_stack([onset, table[:, 2:], length]).astype(np.int64)


def bars_between(downbeats: Ints, metre: int, end: int) -> Ints:
    """Starts of bars in beats from the downbeats known to past `end`; gaps are filled by the metre."""
    starts = list(downbeats) or [0]
    while starts[0] > 0:
        starts.insert(0, starts[0] - metre)
    while starts[-1] <= end:
        starts.append(starts[-1] + metre)
    filled = []
    for a, b in pairwise(starts):
        filled += [a] if b - a <= max(metre, LARGEST_METRE) and b - a < 2 * metre else list(range(a, b, metre))
    return np.array([*filled, starts[-1]], np.int64)


def _at_most(starts: Ints, beats: int) -> Ints:
    """Bars longer than `beats` cut into parts as equal as whole beats allow."""
    parts: list[int] = []
    for a, b in pairwise(starts.tolist()):
        pieces = -(-(b - a) // beats)
        parts += [a + (b - a) * i // pieces for i in range(pieces)]
    return np.array([*parts, starts[-1]], np.int64)


def family_of(track: Track) -> int:
    """The family that a track plays in: by its name where that names one, else by its program."""
    if track.is_drum:
        return DRUMS
    name = track.name.lower()
    named = next((i for i, family in enumerate(FAMILIES) if i != DRUMS and family in name), None)
    if named is None and any(word in name for word in ("vocal", "voice", "lead")):
        named = FAMILIES.index("melody")
    return FAMILY_OF_PROGRAM[track.program] if named is None else named


def score_of(rows: Ints, laid: Laid, grid: Grid, prompt: Score, start_s: float, end_s: float) -> Score:
    """Rows of `Piece.notes` as tracks in seconds on the prompt's instruments, all inside [start_s, end_s].

    The first bar may begin before `start_s`: what was struck there is not heard, what still sounds at `start_s` is.
    """
    home = laid.starts[rows[:, 0]] + rows[:, 1] / TICKS
    struck, off = beats_to_seconds(grid, home), beats_to_seconds(grid, home + rows[:, 4] / TICKS)
    onset = np.maximum(struck, start_s)
    inside = (struck > start_s - _EARLY_S) | ((rows[:, 2] != DRUMS) & (off > start_s + _EARLY_S))
    loud = _loudness(prompt)
    tracks = []
    for family in sorted(set(rows[:, 2].tolist())):
        name, program = _instrument(family, prompt)
        notes = [
            Note(
                onset_s=float(onset[i]),
                duration_s=float(max(min(off[i], end_s) - onset[i], 0.01)),
                pitch=int(rows[i, 3]),
                velocity=_velocity(loud.get(family, 80), int(rows[i, 1])),
            )
            for i in np.flatnonzero(rows[:, 2] == family)
            if inside[i] and onset[i] < end_s
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
    return FAMILIES[family], PROGRAMS[FAMILIES[family]]


def _loudness(prompt: Score) -> dict[int, int]:
    """The median velocity of each family in the prompt."""
    heard: dict[int, list[int]] = {}
    for track in prompt.tracks:
        heard.setdefault(family_of(track), []).extend(n.velocity for n in track.notes)
    return {family: int(np.median(values)) for family, values in heard.items() if values}


def _velocity(level: int, tick: int) -> int:
    """A velocity that leans on the bar's first beat and, less, on the others."""
    accent = 8 if tick == 0 else 3 if tick % TICKS == 0 else -4
    return int(np.clip(level + accent, 1, 127))


def without_silence(piece: Piece, before: int) -> tuple[Piece, int]:
    """The piece without the silent bars just before bar `before`, and how many those were: silence begets silence."""
    heard = piece.notes[piece.notes[:, 0] < before, 0]
    last = int(heard.max()) + 1 if len(heard) else 0
    gap = before - last
    beats = np.delete(piece.bar_beats, slice(last, before))
    notes = np.concatenate([piece.notes[piece.notes[:, 0] < last], piece.notes[piece.notes[:, 0] >= before]])
    chords = np.concatenate([piece.chords[piece.chords[:, 0] < last], piece.chords[piece.chords[:, 0] >= before]])
    for rows in (notes, chords):
        rows[rows[:, 0] >= before, 0] -= gap
    return replace(piece, bar_beats=beats, notes=notes, chords=chords), gap


def chords_again(piece: Piece, start: int, loop: int = 8) -> Piece:
    """The piece with the chords of the `loop` bars before bar `start` repeated from there on."""
    source = piece.chords[(piece.chords[:, 0] >= start - loop) & (piece.chords[:, 0] < start)]
    again = [source + np.array([bar, 0, 0]) for bar in range(loop, piece.bars - start + loop, loop)]
    chords = np.concatenate([piece.chords[piece.chords[:, 0] < start], *again])
    return replace(piece, chords=chords[chords[:, 0] < piece.bars])


def ensemble(piece: Piece, before: int) -> list[int]:
    """The families that play in the 16 bars before bar `before`, else anywhere before it; stray notes do not count."""
    for first in (before - 16, 0):
        heard = Counter(piece.notes[(piece.notes[:, 0] >= first) & (piece.notes[:, 0] < before), 2].tolist())
        bars = max(before - max(first, 0), 1)
        playing = sorted(family for family, count in heard.items() if count >= bars / 4)
        if playing:
            return playing
    return []
