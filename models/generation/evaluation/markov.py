"""Baseline: an interpolated n-gram (Witten and Bell 1991) over the same events and grammar."""

from collections.abc import Collection

import numpy as np

from models.core.dtypes import BoolArray, DoubleArray, IntArray
from models.generation import tokenizer
from models.generation.tokenizer import Piece, decode, encode

ORDER = 3
"""Context length in events; each context also holds the tick in the bar."""

Context = tuple[int, ...]


class Markov:
    """Counts of what follows the last events; `learn` can be undone, so that a song is scored by the others."""

    def __init__(self) -> None:
        self.events: dict[Context, dict[int, int]] = {}
        self.lengths: dict[Context, dict[int, int]] = {}

    def learn(self, piece: Piece, times: int = 1) -> None:
        """Count a piece; `times=-1` removes it again."""
        for context, token, length in _walk(piece):
            for order in range(ORDER + 1):
                _add(self.events, context[: order + 1] if order else (), token, times)
            if token >= tokenizer.NOTE:
                _add(self.lengths, (token,), length, times)
                _add(self.lengths, (), length, times)

    def nats_per_note(self, piece: Piece) -> float:
        """All nats of a piece over the number of its notes, tokens outside the grammar masked."""
        nats, notes = 0.0, 0
        families = np.isin(np.arange(len(tokenizer.FAMILIES)), list(piece.families))
        bar_ticks = piece.metre * tokenizer.TICKS
        for context, token, length in _walk(piece):
            nats -= np.log(self._event(context, bar_ticks, families)[token] + 1e-12)
            if token >= tokenizer.NOTE:
                nats -= np.log(self._length(token)[length])
            notes += token >= tokenizer.DRUM
        return float(nats / max(notes, 1))

    def write(self, piece: Piece, start: int, stop: int, write: Collection[int], rng: np.random.Generator) -> IntArray:
        """Bars [start, stop) drawn from the counts, as rows of `Piece.notes`."""
        families = np.isin(np.arange(len(tokenizer.FAMILIES)), list(write))
        rows = [np.zeros((0, 5), np.int64)]
        for bar in range(start, stop):
            past, tick, drawn = [tokenizer.GEN, tokenizer.BAR], 0, [(tokenizer.BAR, 0, 0)]
            bar_ticks = int(piece.bar_beats[bar]) * tokenizer.TICKS
            while len(drawn) < 80 or tokenizer.POS < past[0] < tokenizer.CHORD:
                probs = self._event((tick, *past[:ORDER]), bar_ticks, families)
                token = int(rng.choice(len(probs), p=probs))
                if token == tokenizer.BAR:
                    break
                tick = token - tokenizer.POS if tokenizer.POS < token < tokenizer.CHORD else tick
                lengths = self._length(token)
                length = int(rng.choice(len(lengths), p=lengths)) if token >= tokenizer.NOTE else 0
                drawn.append((token, length, tick))
                past = [token, *past[: ORDER - 1]]
            column = np.array(drawn, np.int64).T
            new = decode(tokenizer.Events(*column, *(np.zeros((3, len(drawn)), np.int64))), piece.shift)[0]
            new[:, 0] = bar
            rows.append(new)
        return np.concatenate(rows)

    def _event(self, context: Context, bar_ticks: int, families: BoolArray) -> DoubleArray:
        """The distribution after `context` (the tick in the bar, then the last events, newest first)."""
        legal = tokenizer.grammar_mask(np.array(context[1]), np.array(context[0]), np.array(bar_ticks), families)
        probs = np.full(tokenizer.VOCABULARY, 1 / tokenizer.VOCABULARY)
        for order in range(ORDER + 1):
            probs = _interpolated(probs, self.events.get(context[: order + 1] if order else ()))
        probs = np.where(legal, probs, 0.0)
        return np.asarray(probs / probs.sum())

    def _length(self, token: int) -> DoubleArray:
        probs = np.full(len(tokenizer.DURATIONS), 1 / len(tokenizer.DURATIONS))
        return _interpolated(_interpolated(probs, self.lengths.get(())), self.lengths.get((token,)))


def _walk(piece: Piece) -> list[tuple[Context, int, int]]:
    """Each target event of a piece with its context and its duration class."""
    events = encode(piece, 0, piece.bars, piece.families)
    token = events.token.tolist()
    past = [[token[max(i - k, 0)] for k in range(ORDER)] for i in range(len(token))]
    return [
        ((int(events.tick[i]), *past[i]), token[i + 1], int(events.duration[i + 1]))
        for i in np.flatnonzero(events.predicts_next[:-1])
    ]


def _add(table: dict[Context, dict[int, int]], context: Context, value: int, times: int) -> None:
    counts = table.setdefault(context, {})
    counts[value] = counts.get(value, 0) + times
    if counts[value] == 0:
        del counts[value]


def _interpolated(shorter: DoubleArray, counts: dict[int, int] | None) -> DoubleArray:
    """Witten-Bell smoothing: the shorter context's distribution, weighted by the number of distinct successors."""
    if not counts:
        return shorter
    total, kinds = sum(counts.values()), len(counts)
    probs = shorter * (kinds / (total + kinds))
    probs[list(counts)] += np.array(list(counts.values())) / (total + kinds)
    return probs
