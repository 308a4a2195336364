"""The song's memory: what followed the same few events earlier in the song, mixed into the network's distribution.

An adaptive n-gram model (prediction by partial matching, Cleary and Witten 1984) over the whole song, however long.
The longest context met before speaks, with a weight that was fitted on training songs for its length.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.music_transformer import tokens

ORDERS = (12, 8, 5, 3, 2)
"""Lengths of the contexts in events, longest first."""
EVENT_WEIGHTS = (0.75, 0.6, 0.4, 0.2, 0.1)
LENGTH_WEIGHTS = (0.8, 0.7, 0.6, 0.5, 0.4)
"""How far the memory is trusted at each order."""

Counts = dict[int, int]


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
        if token >= tokens.NOTE:
            for key in self._contexts(token):
                _count(self.lengths[key], length)
        self.past = [*self.past[-(ORDERS[0] - 1) :], token]
        self.tick = 0 if token == tokens.BAR else tick

    def _contexts(self, *extra: int) -> Sequence[Hashable]:
        """Keys of the contexts now, longest first; shorter pasts give fewer."""
        return [(self.tick, *self.past[-order:], *extra) for order in ORDERS if len(self.past) >= order]

    def recall_event(self) -> tuple[NDArray[np.float64], float]:
        """A distribution over the next event and its weight; the weight is 0 where nothing like this was heard."""
        return self._recall(self.events, self._contexts(), tokens.VOCABULARY, EVENT_WEIGHTS)

    def recall_length(self, token: int) -> tuple[NDArray[np.float64], float]:
        """The same over the length of `token`, the note that comes next."""
        return self._recall(self.lengths, self._contexts(token), len(tokens.DURATIONS), LENGTH_WEIGHTS)

    def _recall(
        self, table: dict[Hashable, Counts], keys: Sequence[Hashable], size: int, weights: Sequence[float]
    ) -> tuple[NDArray[np.float64], float]:
        share = np.zeros(size)
        for place, key in enumerate(keys, start=len(ORDERS) - len(keys)):
            seen = table.get(key)
            if seen:
                total = sum(seen.values())
                share[list(seen)] = [count / total for count in seen.values()]
                return share, weights[place] * total / (total + 0.5)
        return share, 0.0


def _count(counts: Counts, value: int) -> None:
    counts[value] = counts.get(value, 0) + 1


def mixed(network: NDArray[np.float64], recalled: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """The network's distribution with `weight` of the memory's in it, restricted to what the network holds possible."""
    recalled = np.where(network > 0, recalled, 0.0)
    total = recalled.sum()
    return network if total == 0 else (1 - weight) * network + weight * recalled / total
