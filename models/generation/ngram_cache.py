"""The song's memory: what followed the same few events earlier in the song, mixed into the network's distribution.

An adaptive n-gram model (prediction by partial matching, Cleary and Witten 1984) over the whole song, however long.
The longest context met before speaks, with a weight that was fitted on training songs for its length.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.generation import tokenizer

ORDERS = (12, 8, 5, 3, 2)
"""Lengths of the contexts in events, longest first."""

Counts = dict[int, int]


@dataclass(frozen=True)
class Recollection:
    """A distribution over what comes next, from the context at `place` in `ORDERS`; None where nothing is recalled."""

    share: NDArray[np.float64]
    place: int | None


class Memory:
    """What has been heard so far, and what it says comes next; a written event at a time through `hear`."""

    def __init__(self) -> None:
        self.events: dict[Hashable, Counts] = defaultdict(dict)
        self.lengths: dict[Hashable, Counts] = defaultdict(dict)
        self.past: list[int] = []
        self.tick = 0

    def hear(self, token: int, length: int, tick: int) -> None:
        """Learn one event of a written section and move on past it; `tick` is its place in the bar."""
        for key in self._contexts():
            _count(self.events[key], token)
        if token >= tokenizer.NOTE:
            for key in self._contexts(token):
                _count(self.lengths[key], length)
        self.past = [*self.past[-(ORDERS[0] - 1) :], token]
        self.tick = 0 if token == tokenizer.BAR else tick

    def _contexts(self, *extra: int) -> Sequence[Hashable]:
        """Keys of the contexts now, longest first; shorter pasts give fewer."""
        return [(self.tick, *self.past[-order:], *extra) for order in ORDERS if len(self.past) >= order]

    def recall_event(self) -> Recollection:
        """What came next when the last events were heard before."""
        return _recall(self.events, self._contexts(), tokenizer.VOCABULARY)

    def recall_length(self, token: int) -> Recollection:
        """The same of the length of `token`, the note that comes next."""
        return _recall(self.lengths, self._contexts(token), len(tokenizer.DURATIONS))


def _recall(table: dict[Hashable, Counts], keys: Sequence[Hashable], size: int) -> Recollection:
    share = np.zeros(size)
    for place, key in enumerate(keys, start=len(ORDERS) - len(keys)):
        seen = table.get(key)
        if seen:
            total = sum(seen.values())
            share[list(seen)] = [count / total for count in seen.values()]
            return Recollection(share, place)
    return Recollection(share, None)


def _count(counts: Counts, value: int) -> None:
    counts[value] = counts.get(value, 0) + 1


def mixed(
    network: NDArray[np.float64], memory: Recollection, trust: Sequence[float], follow: float
) -> NDArray[np.float64]:
    """The network's distribution with the memory's in it, as far as `trust` (by context) times `follow` goes.

    What the network holds impossible (the grammar's zeros) stays so.
    """
    recalled = np.where(network > 0, memory.share, 0.0)
    total = recalled.sum()
    if memory.place is None or total == 0:
        return network
    weight = trust[memory.place] * follow
    return np.asarray((1 - weight) * network + weight * recalled / total)
