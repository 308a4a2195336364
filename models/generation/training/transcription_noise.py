"""Music beside what the pipeline wrote down of its sound, and other music as wrongly heard as that."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.generation.chords import plain
from models.generation.tokenizer import DRUMS, MOST_TICKS, QUALITIES, TICKS, Ints, Piece, cut
from models.generation.training.corpus import Entry, load, save

_NEAR = TICKS // 4
"""Ticks between a note and what was heard of it at most."""
_OVERTONES = (0, 12, -12, 19, 24, 7, 5, 28, -24, -19, 31, 36)
"""Where a note is also heard, in semitones from where it is; the nearer the front the likelier."""
_ALIKE = 12
"""So many notes of the donor are looked at for one that resembles a note."""


@dataclass(frozen=True)
class Heard:
    """A piece, and its bars as a transcriber heard them: rows of `Piece.notes` and `Piece.chords`, on its own beats."""

    piece: Piece
    notes: Ints
    chords: Ints

    @property
    def unnamed(self) -> "Heard":
        """The same without chords."""
        return replace(self, chords=self.chords[:0])

    def cut(self, start: int, stop: int) -> "Heard":
        """Bars [start, stop) of both."""
        said = cut(replace(self.piece, notes=self.notes, chords=self.chords), start, stop)
        return Heard(cut(self.piece, start, stop), said.notes, said.chords)

    def until(self, bar: int) -> Piece:
        """The bars before `bar` as they were heard, and the true ones after them."""
        true = self.piece
        notes, chords = _joined(self.notes, true.notes, bar), _joined(self.chords, true.chords, bar)
        return replace(true, notes=np.unique(notes, axis=0), chords=chords, heard=bar)


def _joined(heard: Ints, true: Ints, bar: int) -> Ints:
    return np.concatenate([heard[heard[:, 0] < bar], true[true[:, 0] >= bar]])


def save_heard(found: Sequence[Heard], path: Path) -> None:
    """All of them in one compressed .npz, each piece and then what was heard of it."""
    pieces = [p for one in found for p in (one.piece, replace(one.piece, notes=one.notes, chords=one.chords))]
    save([Entry(f"{i // 2}", "heard" if i % 2 else "true", f"{i // 2}", p) for i, p in enumerate(pieces)], path)


def load_heard(path: Path) -> list[Heard]:
    """What `save_heard` wrote."""
    pieces = [entry.piece for entry in load(path)]
    return [Heard(true, said.notes, said.chords) for true, said in zip(pieces[::2], pieces[1::2], strict=True)]


class Mishearing:
    """Hears pieces as wrongly as known ones were heard.

    What was heard of each note of a known piece, its echoes in other instruments and octaves with it, is kept as steps
    from that note; what no note explains is kept by bar. A piece is heard like one of them, its donor: each of its
    notes as one of the donor's of the same family, much as long and in much the same place of its beat, was heard.
    """

    def __init__(self, known: Sequence[Heard]) -> None:
        self.donors = [donor for one in known if (donor := _donor(one)).steps]

    def of(self, piece: Piece, rng: np.random.Generator) -> Heard:
        """The piece as it would be heard, one donor's way."""
        donor = self.donors[int(rng.integers(len(self.donors)))]
        return Heard(piece, self._notes(donor, piece, rng), donor.misnamed(piece.chords, rng))

    def _notes(self, donor: "_Donor", piece: Piece, rng: np.random.Generator) -> Ints:
        """The piece's notes as they were heard: rows of `Piece.notes`."""
        starts = _starts(piece)
        rows = []
        alike = donor.resembling(piece.notes, rng)
        for (bar, tick, family, pitch, length), i in zip(piece.notes.tolist(), alike.tolist(), strict=True):
            for where, late, step, longer in donor.steps[i]:
                sound = step if DRUMS in (where, family) else _folded(pitch + step)
                rows.append((starts[bar] + tick + late, where, sound, max(round(length * longer), 1)))
        rows += self._unexplained(donor, piece, starts, rng)
        return _placed(np.array(rows, np.int64).reshape(-1, 4), starts)

    def _unexplained(
        self, donor: "_Donor", piece: Piece, starts: Ints, rng: np.random.Generator
    ) -> list[tuple[int, int, int, int]]:
        """What is heard where nothing was played, from as many of the donor's bars, moved into the piece's key."""
        first = int(rng.integers(donor.bars))
        rows = []
        for bar in range(piece.bars):
            for tick, family, pitch, length in donor.strays.get((first + bar) % donor.bars, ()):
                if tick < piece.bar_beats[bar] * TICKS:
                    moved = pitch if family == DRUMS else _folded(pitch + donor.shift - piece.shift)
                    rows.append((int(starts[bar]) + tick, family, moved, length))
        return rows


@dataclass(frozen=True)
class _Donor:
    """A known piece: for each of its notes (`true`) the steps to what was heard of it, by family; and the strays.

    A step is (family, ticks late, semitones higher or the drum's sound, times as long).
    """

    true: Ints
    steps: list[list[tuple[int, int, int, float]]]
    strays: dict[int, list[tuple[int, int, int, int]]]
    named: list[tuple[int, int]]
    bars: int
    shift: int

    def misnamed(self, chords: Ints, rng: np.random.Generator) -> Ints:
        """Rows of `Piece.chords`, each as one of the donor's chords was named."""
        found = plain(chords)
        if self.named and len(found):
            steps = np.array(self.named)[rng.integers(len(self.named), size=len(found))]
            root, quality = np.divmod(found[:, 2] - 1, len(QUALITIES))
            named = 1 + (root + steps[:, 0]) % 12 * len(QUALITIES) + (quality ^ steps[:, 1])
            found[:, 2] = np.where(found[:, 2] == 0, 0, named)
        return found

    def resembling(self, notes: Ints, rng: np.random.Generator) -> Ints:
        """For each of the notes one of the donor's that resembles it. Shape: (notes,)."""
        found = np.zeros(len(notes), np.int64)
        sounds, own = _sounds(notes), _sounds(self.true)
        for sound in np.unique(sounds):
            these = np.flatnonzero(sounds == sound)
            pool = np.flatnonzero(own == sound)
            pool = pool if len(pool) else np.flatnonzero((self.true[:, 2] == DRUMS) == (sound < 0))
            pool = pool if len(pool) else np.arange(len(self.true))
            tried = rng.choice(pool, (len(these), _ALIKE))
            length = np.abs(np.log2(self.true[tried, 4] / notes[these, 4][:, None]))
            place = self.true[tried, 1] % TICKS != notes[these, 1][:, None] % TICKS
            found[these] = tried[np.arange(len(these)), (length + 0.5 * place).argmin(1)]
        return found


def _donor(known: Heard) -> _Donor:
    piece, true, starts = known.piece, known.piece.notes, _starts(known.piece)
    onset = starts[true[:, 0]] + true[:, 1]
    steps: list[list[tuple[int, int, int, float]]] = [[] for _ in true]
    strays: dict[int, list[tuple[int, int, int, int]]] = {}
    for bar, tick, family, pitch, length in known.notes.tolist():
        late = starts[bar] + tick - onset
        source = _source(true, late, family, pitch)
        if source is None:
            strays.setdefault(bar, []).append((tick, family, pitch, length))
            continue
        step = pitch if DRUMS in (family, true[source, 2]) else pitch - int(true[source, 3])
        steps[source].append((family, int(late[source]), step, length / max(int(true[source, 4]), 1)))
    return _Donor(true, steps, strays, _named(known), piece.bars, piece.shift)


def _named(known: Heard) -> list[tuple[int, int]]:
    """How far off each bar's chord was named: semitones, and 1 where major was taken for minor or the reverse."""
    at_bars = np.array([_at_bars(plain(chords), known.piece.bars) for chords in (known.piece.chords, known.chords)])
    root, quality = np.divmod(at_bars[:, (at_bars > 0).all(0)] - 1, len(QUALITIES))
    return list(zip(((root[1] - root[0]) % 12).tolist(), (quality[1] != quality[0]).astype(int).tolist(), strict=True))


def _at_bars(chords: Ints, bars: int) -> list[int]:
    """The chord that sounds where each bar begins, 0 for none."""
    place = np.searchsorted(chords[:, 0] * MOST_TICKS + chords[:, 1], np.arange(bars) * MOST_TICKS, side="right") - 1
    return [int(chords[i, 2]) if i >= 0 else 0 for i in place.tolist()]


def _source(true: Ints, late: Ints, family: int, pitch: int) -> int | None:
    """The note that a heard one is likeliest the sound of: struck near it, the same, an overtone, a drum; or None."""
    near = np.flatnonzero(np.abs(late) <= _NEAR)
    best, least = None, np.inf
    for i in near.tolist():
        other, step = int(true[i, 2]), pitch - int(true[i, 3])
        if (family == DRUMS) != (other == DRUMS):
            rank = len(_OVERTONES) + 1.0
        elif family == DRUMS:
            rank = 0.0 if step == 0 else 2.0
        else:
            rank = float(_OVERTONES.index(step)) if step in _OVERTONES else np.inf
        cost = rank + abs(int(late[i])) / (_NEAR + 1) + 0.5 * (other != family)
        if cost < least:
            best, least = i, cost
    return best


def _sounds(notes: Ints) -> Ints:
    """What plays each note: a family, or a drum (below zero). Shape: (notes,)."""
    return np.where(notes[:, 2] == DRUMS, -notes[:, 3], notes[:, 2])


def _folded(pitch: int) -> int:
    return pitch % 12 if pitch < 0 else 120 - 12 + pitch % 12 if pitch > 127 else pitch


def _starts(piece: Piece) -> Ints:
    """Where each bar begins and the last one ends, in ticks. Shape: (bars + 1,)."""
    return np.concatenate([[0], np.cumsum(piece.bar_beats)]).astype(np.int64) * TICKS


def _placed(rows: Ints, starts: Ints) -> Ints:
    """Rows of onset in ticks, family, pitch, length as rows of `Piece.notes`; what lies outside is left out."""
    rows = rows[(rows[:, 0] >= 0) & (rows[:, 0] < starts[-1])]
    bar = np.searchsorted(starts, rows[:, 0], side="right") - 1
    return np.unique(np.column_stack([bar, rows[:, 0] - starts[bar], rows[:, 1:]]), axis=0)
