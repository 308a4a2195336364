"""Transcription noise: errors measured on pieces that the pipeline transcribed, applied to other pieces."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.core.dtypes import IntArray
from models.generation.chords import reduce_to_triads
from models.generation.tokenizer import DRUMS, MAX_BAR_TICKS, QUALITIES, TICKS, Piece, slice_bars
from models.generation.training.corpus import Entry, load, save

_MAX_SHIFT_TICKS = TICKS // 4
"""A transcribed note comes from a true one at most so many ticks away."""
_HARMONIC_STEPS = (0, 12, -12, 19, 24, 7, 5, 28, -24, -19, 31, 36)
"""Semitones from a note to where its partials are transcribed, the likelier first."""
_CANDIDATES = 12
"""So many of the donor's notes are compared with each note."""


@dataclass(frozen=True)
class TranscribedPiece:
    """A piece and its transcription: rows of `Piece.notes` and `Piece.chords`, on the piece's own beats."""

    piece: Piece
    notes: IntArray
    chords: IntArray

    @property
    def without_chords(self) -> "TranscribedPiece":
        """The same without chords."""
        return replace(self, chords=self.chords[:0])

    def slice_bars(self, start: int, stop: int) -> "TranscribedPiece":
        """Bars [start, stop) of both."""
        estimate = slice_bars(replace(self.piece, notes=self.notes, chords=self.chords), start, stop)
        return TranscribedPiece(slice_bars(self.piece, start, stop), estimate.notes, estimate.chords)

    def with_transcribed_prompt(self, bar: int) -> Piece:
        """The transcribed bars before `bar`, and the true ones from it on."""
        true = self.piece
        notes, chords = _splice(self.notes, true.notes, bar), _splice(self.chords, true.chords, bar)
        return replace(true, notes=np.unique(notes, axis=0), chords=chords, transcribed_bars=bar)


def _splice(estimate: IntArray, true: IntArray, bar: int) -> IntArray:
    return np.concatenate([estimate[estimate[:, 0] < bar], true[true[:, 0] >= bar]])


def save_transcribed(songs: Sequence[TranscribedPiece], path: Path) -> None:
    """All of them in one compressed .npz, each piece followed by its transcription."""
    pieces = [p for one in songs for p in (one.piece, replace(one.piece, notes=one.notes, chords=one.chords))]
    save([Entry(f"{i // 2}", "heard" if i % 2 else "true", f"{i // 2}", p) for i, p in enumerate(pieces)], path)


def load_transcribed(path: Path) -> list[TranscribedPiece]:
    """The pieces that `save_transcribed` wrote."""
    pieces = [entry.piece for entry in load(path)]
    return [
        TranscribedPiece(true, estimate.notes, estimate.chords)
        for true, estimate in zip(pieces[::2], pieces[1::2], strict=True)
    ]


class TranscriptionNoise:
    """Non-parametric transcription noise, resampled from transcribed pieces.

    For each note of a transcribed piece the differences to its transcription are kept, octave errors and doublings in
    other families included; spurious notes are kept by bar. A piece takes the errors of one such donor: each of its
    notes those of a donor's note of the same family, of about the same duration and place in the beat.
    """

    def __init__(self, transcribed: Sequence[TranscribedPiece]) -> None:
        self.donors = [donor for one in transcribed if (donor := _make_donor(one)).steps]

    def apply(self, piece: Piece, rng: np.random.Generator) -> TranscribedPiece:
        """The piece with a transcription that has one donor's errors."""
        donor = self.donors[int(rng.integers(len(self.donors)))]
        return TranscribedPiece(piece, self._notes(donor, piece, rng), donor.with_chord_errors(piece.chords, rng))

    def _notes(self, donor: "_NoiseDonor", piece: Piece, rng: np.random.Generator) -> IntArray:
        """The piece's transcribed notes: rows of `Piece.notes`."""
        starts = _starts(piece)
        rows = []
        similar = donor.similar_notes(piece.notes, rng)
        for (bar, tick, family, pitch, length), i in zip(piece.notes.tolist(), similar.tolist(), strict=True):
            for where, late, step, longer in donor.steps[i]:
                sound = step if DRUMS in (where, family) else _fold_octave(pitch + step)
                rows.append((starts[bar] + tick + late, where, sound, max(round(length * longer), 1)))
        rows += self._spurious(donor, piece, starts, rng)
        return _placed(np.array(rows, np.int64).reshape(-1, 4), starts)

    def _spurious(
        self, donor: "_NoiseDonor", piece: Piece, starts: IntArray, rng: np.random.Generator
    ) -> list[tuple[int, int, int, int]]:
        """Spurious notes, from as many of the donor's bars, transposed into the piece's key."""
        first = int(rng.integers(donor.bars))
        rows = []
        for bar in range(piece.bars):
            for tick, family, pitch, length in donor.spurious.get((first + bar) % donor.bars, ()):
                if tick < piece.bar_beats[bar] * TICKS:
                    moved = pitch if family == DRUMS else _fold_octave(pitch + donor.shift - piece.shift)
                    rows.append((int(starts[bar]) + tick, family, moved, length))
        return rows


@dataclass(frozen=True)
class _NoiseDonor:
    """A transcribed piece: for each of its notes (`true`) the differences to its transcription, and the spurious notes.

    A difference is (family, ticks late, semitones up or the drum's pitch, duration ratio).
    """

    true: IntArray
    steps: list[list[tuple[int, int, int, float]]]
    spurious: dict[int, list[tuple[int, int, int, int]]]
    chord_errors: list[tuple[int, int]]
    bars: int
    shift: int

    def with_chord_errors(self, chords: IntArray, rng: np.random.Generator) -> IntArray:
        """Rows of `Piece.chords`, each with the error of a random one of the donor's chords."""
        triads = reduce_to_triads(chords)
        if self.chord_errors and len(triads):
            steps = np.array(self.chord_errors)[rng.integers(len(self.chord_errors), size=len(triads))]
            root, quality = np.divmod(triads[:, 2] - 1, len(QUALITIES))
            wrong = 1 + (root + steps[:, 0]) % 12 * len(QUALITIES) + (quality ^ steps[:, 1])
            triads[:, 2] = np.where(triads[:, 2] == 0, 0, wrong)
        return triads

    def similar_notes(self, notes: IntArray, rng: np.random.Generator) -> IntArray:
        """For each of the notes one of the donor's that resembles it. Shape: (notes,)."""
        similar = np.zeros(len(notes), np.int64)
        sounds, own = _note_classes(notes), _note_classes(self.true)
        for sound in np.unique(sounds):
            these = np.flatnonzero(sounds == sound)
            pool = np.flatnonzero(own == sound)
            pool = pool if len(pool) else np.flatnonzero((self.true[:, 2] == DRUMS) == (sound < 0))
            pool = pool if len(pool) else np.arange(len(self.true))
            candidates = rng.choice(pool, (len(these), _CANDIDATES))
            length = np.abs(np.log2(self.true[candidates, 4] / notes[these, 4][:, None]))
            place = self.true[candidates, 1] % TICKS != notes[these, 1][:, None] % TICKS
            similar[these] = candidates[np.arange(len(these)), (length + 0.5 * place).argmin(1)]
        return similar


def _make_donor(transcribed: TranscribedPiece) -> _NoiseDonor:
    piece, true, starts = transcribed.piece, transcribed.piece.notes, _starts(transcribed.piece)
    onset = starts[true[:, 0]] + true[:, 1]
    steps: list[list[tuple[int, int, int, float]]] = [[] for _ in true]
    spurious: dict[int, list[tuple[int, int, int, int]]] = {}
    for bar, tick, family, pitch, length in transcribed.notes.tolist():
        late = starts[bar] + tick - onset
        source = _nearest_source(true, late, family, pitch)
        if source is None:
            spurious.setdefault(bar, []).append((tick, family, pitch, length))
            continue
        step = pitch if DRUMS in (family, true[source, 2]) else pitch - int(true[source, 3])
        steps[source].append((family, int(late[source]), step, length / max(int(true[source, 4]), 1)))
    return _NoiseDonor(true, steps, spurious, _chord_errors(transcribed), piece.bars, piece.shift)


def _chord_errors(transcribed: TranscribedPiece) -> list[tuple[int, int]]:
    """Error of each bar's chord: semitones, and 1 where major was taken for minor or the reverse."""
    at_bars = np.array(
        [
            _at_bars(reduce_to_triads(chords), transcribed.piece.bars)
            for chords in (transcribed.piece.chords, transcribed.chords)
        ]
    )
    root, quality = np.divmod(at_bars[:, (at_bars > 0).all(0)] - 1, len(QUALITIES))
    return list(zip(((root[1] - root[0]) % 12).tolist(), (quality[1] != quality[0]).astype(int).tolist(), strict=True))


def _at_bars(chords: IntArray, bars: int) -> list[int]:
    """The chord that sounds where each bar begins, 0 for none."""
    place = (
        np.searchsorted(chords[:, 0] * MAX_BAR_TICKS + chords[:, 1], np.arange(bars) * MAX_BAR_TICKS, side="right") - 1
    )
    return [int(chords[i, 2]) if i >= 0 else 0 for i in place.tolist()]


def _nearest_source(true: IntArray, late: IntArray, family: int, pitch: int) -> int | None:
    """The true note a transcribed one most likely comes from (same onset and pitch, a partial, a drum), or None."""
    near = np.flatnonzero(np.abs(late) <= _MAX_SHIFT_TICKS)
    best, least = None, np.inf
    for i in near.tolist():
        other, step = int(true[i, 2]), pitch - int(true[i, 3])
        if (family == DRUMS) != (other == DRUMS):
            rank = len(_HARMONIC_STEPS) + 1.0
        elif family == DRUMS:
            rank = 0.0 if step == 0 else 2.0
        else:
            rank = float(_HARMONIC_STEPS.index(step)) if step in _HARMONIC_STEPS else np.inf
        cost = rank + abs(int(late[i])) / (_MAX_SHIFT_TICKS + 1) + 0.5 * (other != family)
        if cost < least:
            best, least = i, cost
    return best


def _note_classes(notes: IntArray) -> IntArray:
    """The class of each note: its family, or its drum (below zero). Shape: (notes,)."""
    return np.where(notes[:, 2] == DRUMS, -notes[:, 3], notes[:, 2])


def _fold_octave(pitch: int) -> int:
    return pitch % 12 if pitch < 0 else 120 - 12 + pitch % 12 if pitch > 127 else pitch


def _starts(piece: Piece) -> IntArray:
    """Where each bar begins and the last one ends, in ticks. Shape: (bars + 1,)."""
    return np.concatenate([[0], np.cumsum(piece.bar_beats)]).astype(np.int64) * TICKS


def _placed(rows: IntArray, starts: IntArray) -> IntArray:
    """Rows of onset in ticks, family, pitch, duration as rows of `Piece.notes`; notes outside the bars are dropped."""
    rows = rows[(rows[:, 0] >= 0) & (rows[:, 0] < starts[-1])]
    bar = np.searchsorted(starts, rows[:, 0], side="right") - 1
    return np.unique(np.column_stack([bar, rows[:, 0] - starts[bar], rows[:, 1:]]), axis=0)
