"""Tokenizer: quantized music as a token sequence, and the grammar that keeps sampled sequences valid.

A piece is quantized to `TICKS` a beat and transposed by `shift` semitones so that its key becomes C major or A minor.
Its sequence is

    METRE TEMPO HAS* ( BAR [CHORD | NOTE | POS]* GEN [NOTE | POS]* )*

What stands between BAR and GEN is the condition (the chords and any tracks to keep), what follows GEN is the target: an
accompaniment is conditioned bar by bar ("anticipation", Thickstun et al. 2023), a continuation has no condition. Bars
that come from a transcription are condition entirely, with their estimated chords, so that the network can tell noisy
input from its own output.
A NOTE is family x pitch in one token and carries its duration class beside it, predicted by a second head: about 1.6
events a note where REMI+ (von Ruette et al. 2022) spends 3 to 5. POS sets the tick in the bar; tick 0 is implied.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from models.core.dtypes import BoolArray, IntArray

IntArray = IntArray

TICKS = 12
"""Ticks a beat: triplets and sixteenths both fit."""
FAMILIES = ("drums", "bass", "piano", "guitar", "strings", "melody")
DRUMS = 0
LOWEST_PITCH, PITCHES = 12, 108
LOWEST_DRUM, DRUM_SOUNDS = 35, 47
MIN_METRE, MAX_METRE = 2, 8
MAX_BAR_TICKS = MAX_METRE * TICKS
TEMPO_EDGES = np.geomspace(55, 200, 11)
"""Boundaries of the tempo classes, beats a minute."""
QUALITIES = ("maj", "min", "7", "dim", "sus", "aug")
DURATIONS = np.array(
    (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 18, 20, 21, 24, 27, 30, 33, 36, 42, 48, 60, 72, 96, 144, 192)
)
"""Note durations in ticks, by class."""

PAD, BAR, GEN, METRE = 0, 1, 2, 3
TEMPO = METRE + MAX_METRE - MIN_METRE + 1
HAS = TEMPO + len(TEMPO_EDGES) + 1
POS = HAS + len(FAMILIES) - 1  # POS + tick for ticks from 1
CHORD = POS + MAX_BAR_TICKS  # CHORD is "no chord", then root x quality
DRUM = CHORD + 1 + 12 * len(QUALITIES)
NOTE = DRUM + DRUM_SOUNDS
VOCABULARY = NOTE + (len(FAMILIES) - 1) * PITCHES

FAMILY_OF = np.full(VOCABULARY, -1)
"""The instrument family of each token; -1 for tokens that are no notes."""
FAMILY_OF[DRUM:NOTE] = DRUMS
FAMILY_OF[NOTE:] = 1 + np.arange(VOCABULARY - NOTE) // PITCHES

_CONDITION, _TARGET = 1, 3


@dataclass(frozen=True)
class Piece:
    """Quantized music.

    `bar_beats` (bars,) are the bars' lengths in beats. `notes` (n, 5) holds bar, tick in the bar, family, sounding
    pitch and duration in ticks; `chords` (m, 3) bar, tick and chord (0 none, else 1 + root * qualities + quality),
    one a change. `shift` semitones, -6..5, transpose its key to C major or A minor. The first `transcribed_bars` come
    from a transcription, with its errors.
    """

    metre: int
    tempo_bpm: float
    shift: int
    bar_beats: IntArray
    notes: IntArray
    chords: IntArray
    transcribed_bars: int = 0

    @property
    def bars(self) -> int:
        return len(self.bar_beats)

    @property
    def families(self) -> frozenset[int]:
        """The families that play anywhere in the piece."""
        return frozenset(np.unique(self.notes[:, 2]).tolist())


def slice_bars(piece: Piece, start: int, stop: int) -> Piece:
    """Bars [start, stop) as a piece of their own, beginning in the chord that sounds there."""
    notes = piece.notes[(piece.notes[:, 0] >= start) & (piece.notes[:, 0] < stop)]
    chords = piece.chords[(piece.chords[:, 0] >= start) & (piece.chords[:, 0] < stop)]
    before = piece.chords[piece.chords[:, 0] < start]
    if len(before):
        chords = np.concatenate([[[start, 0, before[-1, 2]]], chords])
    move = np.array([start, 0, 0, 0, 0])
    is_condition = min(max(piece.transcribed_bars - start, 0), stop - start)
    beats = piece.bar_beats[start:stop]
    return replace(piece, bar_beats=beats, notes=notes - move, chords=chords - move[:3], transcribed_bars=is_condition)


@dataclass(frozen=True)
class Events:
    """Tokenized bars; every array has shape (events,).

    `token` and `duration` (class) are the event, `tick` its place in the bar, `time` the ticks since the sequence
    began, `bar_ticks` the bar's length in ticks; `predicts_next` marks events whose successor is a target.
    """

    token: IntArray
    duration: IntArray
    tick: IntArray
    time: IntArray
    bar_ticks: IntArray
    predicts_next: BoolArray

    def __len__(self) -> int:
        return len(self.token)


def note_tokens(notes: IntArray, shift: int) -> IntArray:
    """The token of each row of `Piece.notes`; pitches outside the nine octaves from C0 are folded into them."""
    family, pitch = notes[:, 2], notes[:, 3]
    pitched = pitch + shift - LOWEST_PITCH
    pitched = np.where(pitched < 0, pitched % 12, pitched)
    pitched = np.where(pitched >= PITCHES, PITCHES - 12 + pitched % 12, pitched)
    drums = DRUM + np.clip(pitch - LOWEST_DRUM, 0, DRUM_SOUNDS - 1)
    return np.where(family == DRUMS, drums, NOTE + (family - 1) * PITCHES + pitched)


def duration_class(ticks: IntArray) -> IntArray:
    """The class of the nearest duration in `DURATIONS` (the shorter one of two as near)."""
    return np.searchsorted((DURATIONS[1:] + DURATIONS[:-1]) / 2, ticks)


def chord_tokens(chords: IntArray, shift: int) -> IntArray:
    """The token of each row of `Piece.chords`."""
    root, quality = np.divmod(chords[:, 2] - 1, len(QUALITIES))
    return np.where(chords[:, 2] == 0, CHORD, CHORD + 1 + (root + shift) % 12 * len(QUALITIES) + quality)


def header(piece: Piece, families: Collection[int]) -> list[int]:
    """The tokens that open a sequence: metre, tempo class and the families to be written."""
    metre = METRE + int(np.clip(piece.metre, MIN_METRE, MAX_METRE)) - MIN_METRE
    return [metre, TEMPO + int(np.searchsorted(TEMPO_EDGES, piece.tempo_bpm)), *(HAS + f for f in sorted(families))]


def encode(
    piece: Piece, start: int, stop: int, write: Collection[int], given: Collection[int] = (), chords: bool = False
) -> Events:
    """Bars [start, stop) of a piece, header first; families neither in `write` nor in `given` are left out.

    Of transcribed bars every family is condition and the chords are stated; they have no targets.
    """
    notes = piece.notes[(piece.notes[:, 0] >= start) & (piece.notes[:, 0] < stop)]
    token, length = note_tokens(notes, piece.shift), duration_class(notes[:, 4])
    length = np.where(notes[:, 2] == DRUMS, 0, length)
    bar = np.arange(start, stop)
    is_condition = (notes[:, 0] < piece.transcribed_bars) | np.isin(notes[:, 2], list(given))
    section = np.where(is_condition, _CONDITION, np.where(np.isin(notes[:, 2], list(write)), _TARGET, 0))
    read = section > 0
    rows = [
        _rows(bar, 0, 0, BAR, 0),
        _rows(bar, _CONDITION + 1, 0, GEN, 0),
        _rows(notes[read, 0], section[read], notes[read, 1], token[read], length[read]),
    ]
    chord_changes = _chord_rows(piece.chords, start, stop if chords else min(stop, piece.transcribed_bars))
    rows.append(
        _rows(chord_changes[:, 0], _CONDITION, chord_changes[:, 1], chord_tokens(chord_changes, piece.shift), 0)
    )
    table = np.concatenate(rows)
    offbeat = np.unique(table[table[:, 2] > 0, :3], axis=0)
    table = np.concatenate([table, _rows(offbeat[:, 0], offbeat[:, 1], offbeat[:, 2], POS + offbeat[:, 2], 0)])
    table = table[np.lexsort((-table[:, 4], table[:, 3], table[:, 2], table[:, 1], table[:, 0]))]
    repeated = np.all(table[1:, :4] == table[:-1, :4], axis=1)
    table = np.delete(table, np.flatnonzero(repeated) + 1, axis=0)
    return _with_header(piece, header(piece, write), table, start)


def context_start(
    piece: Piece, stop: int, most: int, write: Collection[int], given: Collection[int] = (), chords: bool = False
) -> int:
    """The first bar from which to `stop` there are at most `most` events; `stop` itself where one bar is too many."""
    low = max(stop - most // 2, 0)
    past = encode(piece, low, stop, write, given, chords)
    left = len(past) - np.append(np.flatnonzero(past.token == BAR), len(past))
    return low + int(np.searchsorted(-left, -most))


def _chord_rows(chords: IntArray, start: int, stop: int) -> IntArray:
    """The chord changes in bars [start, stop), and at every bar's start the chord that is sounding there."""
    bars = np.arange(start, stop)
    sounding = np.searchsorted(chords[:, 0] * MAX_BAR_TICKS + chords[:, 1], bars * MAX_BAR_TICKS, side="right") - 1
    bars, sounding = bars[sounding >= 0], sounding[sounding >= 0]
    restated = np.column_stack([bars, np.zeros_like(bars), chords[sounding, 2]])
    changes = chords[(chords[:, 0] >= start) & (chords[:, 0] < stop) & (chords[:, 1] > 0)]
    return np.concatenate([restated, changes])


def _rows(
    bar: IntArray, section: IntArray | int, tick: IntArray | int, token: IntArray | int, length: IntArray | int
) -> IntArray:
    """Columns of one value each or one a row, side by side. Shape: (rows, 5)."""
    return np.stack(np.broadcast_arrays(bar, section, tick, token, length), axis=1).astype(np.int64)


def _with_header(piece: Piece, head: list[int], table: IntArray, start: int) -> Events:
    """Events from sorted rows of bar, section, tick, token and duration class, after the header."""
    ticks = piece.bar_beats * TICKS
    bar_starts = np.concatenate([[0], np.cumsum(ticks[start:])])[:-1]
    bar, section, tick, token, length = table.T
    header_zeros = np.zeros(len(head), np.int64)
    return Events(
        token=np.concatenate([head, token]),
        duration=np.concatenate([header_zeros, length]),
        tick=np.concatenate([header_zeros, tick]),
        time=np.concatenate([header_zeros, bar_starts[bar - start] + tick]),
        bar_ticks=np.concatenate([header_zeros, ticks[bar]]),
        predicts_next=np.concatenate([header_zeros > 0, (section > _CONDITION) & (bar >= piece.transcribed_bars)]),
    )


def decode(events: Events, shift: int) -> tuple[IntArray, IntArray]:
    """The rows of `Piece.notes` and `Piece.chords` that events stand for, bars counted from the first BAR."""
    notes, chords, bar = [], [], -1
    for token, length, tick in zip(events.token, events.duration, events.tick, strict=True):
        if token == BAR:
            bar += 1
        elif token >= DRUM:
            family = int(FAMILY_OF[token])
            if family == DRUMS:
                notes.append((bar, tick, family, token - DRUM + LOWEST_DRUM, 1))
            else:
                pitch = (token - NOTE) % PITCHES + LOWEST_PITCH - shift
                notes.append((bar, tick, family, pitch, DURATIONS[length]))
        elif token == CHORD:
            chords.append((bar, tick, 0))
        elif token > CHORD:
            root, quality = divmod(int(token) - CHORD - 1, len(QUALITIES))
            chords.append((bar, tick, 1 + (root - shift) % 12 * len(QUALITIES) + quality))
    order = sorted(notes)
    return np.array(order, np.int64).reshape(-1, 5), np.array(chords, np.int64).reshape(-1, 3)


def grammar_mask(token: IntArray, tick: IntArray, bar_ticks: IntArray, families: BoolArray) -> BoolArray:
    """Which tokens may follow each event of a target section.

    `token`, `tick`, `bar_ticks` (...,) describe the event before, `families` (..., families) those to be written. Notes
    of one tick come in rising order without repeats, ticks rise and stay inside the bar, and a POS is followed by a
    note. Shape: (..., vocabulary).
    """
    token_ids = np.arange(VOCABULARY)
    after = np.where(token >= DRUM, token, DRUM - 1)[..., None]
    notes = (token_ids > after) & np.take(families, np.maximum(FAMILY_OF, 0), axis=-1)
    moves = (token_ids > POS + tick[..., None]) & (token_ids < np.minimum(POS + bar_ticks[..., None], CHORD))
    at_pos = ((token > POS) & (token < CHORD))[..., None]
    return np.asarray(np.where(token_ids >= DRUM, notes, ~at_pos & ((token_ids == BAR) | moves)))
