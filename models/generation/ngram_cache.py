"""N-gram cache: what followed the same events earlier in the song, interpolated with the network's distribution.

Prediction by partial matching (Cleary and Witten 1984) over the whole song, however long: the longest context seen
before predicts, with an interpolation weight fitted by its length on training songs.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from models.core.dtypes import DoubleArray
from models.generation import tokenizer

ORDERS = (12, 8, 5, 3, 2)
"""Context lengths in events, longest first."""

Counts = dict[int, int]


@dataclass(frozen=True)
class CachePrediction:
    """Probabilities of the next value and the matching context's index in `ORDERS`, None where no context matches."""

    probs: DoubleArray
    order_index: int | None


class NgramCache:
    """Counts of what followed each context so far; `update` takes one target event at a time."""

    def __init__(self) -> None:
        self.events: dict[Hashable, Counts] = defaultdict(dict)
        self.lengths: dict[Hashable, Counts] = defaultdict(dict)
        self.past: list[int] = []
        self.tick = 0

    def update(self, token: int, length: int, tick: int) -> None:
        """Count one event of a target section and append it to the context; `tick` is its place in the bar."""
        for key in self._contexts():
            _count(self.events[key], token)
        if token >= tokenizer.NOTE:
            for key in self._contexts(token):
                _count(self.lengths[key], length)
        self.past = [*self.past[-(ORDERS[0] - 1) :], token]
        self.tick = 0 if token == tokenizer.BAR else tick

    def _contexts(self, *extra: int) -> Sequence[Hashable]:
        """Keys of the current contexts, longest first; shorter pasts give fewer."""
        return [(self.tick, *self.past[-order:], *extra) for order in ORDERS if len(self.past) >= order]

    def predict_event(self) -> CachePrediction:
        """What followed the longest matching context of the last events."""
        return _lookup(self.events, self._contexts(), tokenizer.VOCABULARY)

    def predict_length(self, token: int) -> CachePrediction:
        """The same for the duration class of `token`, the note that comes next."""
        return _lookup(self.lengths, self._contexts(token), len(tokenizer.DURATIONS))


def _lookup(table: dict[Hashable, Counts], keys: Sequence[Hashable], size: int) -> CachePrediction:
    share = np.zeros(size)
    for place, key in enumerate(keys, start=len(ORDERS) - len(keys)):
        seen = table.get(key)
        if seen:
            total = sum(seen.values())
            share[list(seen)] = [count / total for count in seen.values()]
            return CachePrediction(share, place)
    return CachePrediction(share, None)


def _count(counts: Counts, value: int) -> None:
    counts[value] = counts.get(value, 0) + 1


def interpolate(network: DoubleArray, cached: CachePrediction, trust: Sequence[float], follow: float) -> DoubleArray:
    """The network's distribution with the cache's in it, weighted by `trust` (by context length) times `follow`.

    Where the network has probability 0 (the grammar), the result has 0 too.
    """
    allowed = np.where(network > 0, cached.probs, 0.0)
    total = allowed.sum()
    if cached.order_index is None or total == 0:
        return network
    weight = trust[cached.order_index] * follow
    return np.asarray((1 - weight) * network + weight * allowed / total)
