"""How surprised the network is by music, in nats, with and without the song's memory; and the memory's trust fitted."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.generation import tokenizer
from models.generation.network import Batch, MusicTransformer
from models.generation.ngram_cache import ORDERS, Memory
from models.generation.tokenizer import Events, Piece, encode


@dataclass(frozen=True)
class Chances:
    """What each written event of a piece was given, as probabilities; arrays have shape (written events,).

    `network` and `memory` are those of the event, `length_*` those of a note's length (1 where there is none), `place`
    and `length_place` the context that the memory recalled (-1 for none), `note` which events are notes.
    """

    network: NDArray[np.float64]
    memory: NDArray[np.float64]
    place: NDArray[np.int64]
    length_network: NDArray[np.float64]
    length_memory: NDArray[np.float64]
    length_place: NDArray[np.int64]
    note: NDArray[np.bool_]

    def nats_per_note(self, trust: tuple[float, ...] = (), length_trust: tuple[float, ...] = ()) -> float:
        """All nats spent, on moves and bar lines too, over the number of notes; without trust the network alone."""
        event = _blend(self.network, self.memory, self.place, trust)
        length = _blend(self.length_network, self.length_memory, self.length_place, length_trust)
        return float(-(np.log(event) + np.log(length)).sum() / max(self.note.sum(), 1))


def _blend(
    network: NDArray[np.float64], memory: NDArray[np.float64], place: NDArray[np.int64], trust: tuple[float, ...]
) -> NDArray[np.float64]:
    weight = np.append(np.asarray(trust or (0.0,) * len(ORDERS)), 0.0)[place]
    return np.asarray((1 - weight) * network + weight * memory)


@torch.inference_mode()
def chances(
    network: MusicTransformer,
    piece: Piece,
    write: Collection[int],
    given: Collection[int] = (),
    chords: bool = False,
    start: int = 0,
    stop: int | None = None,
) -> Chances:
    """The chances of every written event of bars [start, stop), each seen with at least half a context of its past."""
    last = piece.bars if stop is None else min(stop, piece.bars)
    rows: list[NDArray[np.float64]] = []
    memory, first, done = Memory(), 0, start
    _listen(memory, encode(piece, 0, start, write, given, chords))
    while done < last:
        first, stop = _span(piece, done, last, write, given, chords, network.config.context)
        events = encode(piece, first, stop, write, given, chords)
        bar = np.cumsum(events.token == tokenizer.BAR) - 1 + first
        rows.append(_window(network, events, bar >= done, memory, write))
        done = stop
    table = np.concatenate(rows)
    places = table[:, [2, 5]].astype(np.int64)
    return Chances(table[:, 0], table[:, 1], places[:, 0], table[:, 3], table[:, 4], places[:, 1], table[:, 6] > 0)


def _listen(memory: Memory, events: Events) -> None:
    for i in np.flatnonzero(events.written | (events.token == tokenizer.BAR)):
        memory.hear(int(events.token[i]), int(events.duration[i]), int(events.tick[i]))


def _span(
    piece: Piece, done: int, last: int, write: Collection[int], given: Collection[int], chords: bool, context: int
) -> tuple[int, int]:
    """Bars [first, stop) that fit in the context: as many before `done` as fill half of it, new ones in the rest."""
    first = tokenizer.reaching_back(piece, done, context // 2, write, given, chords)
    stop = done + 1
    while stop < last and len(encode(piece, first, stop + 1, write, given, chords)) <= context:
        stop += 1
    return first, stop


def _window(
    network: MusicTransformer,
    events: Events,
    new: NDArray[np.bool_],
    memory: Memory,
    write: Collection[int],
) -> NDArray[np.float64]:
    """A row of seven figures, as in `Chances`, for each written event among the `new` ones."""
    families = np.isin(np.arange(len(tokenizer.FAMILIES)), list(write))
    batch = Batch.of(events, str(network.trait_of.device))
    hidden = network(batch)
    table = network.table()
    logits = network.token_logits(hidden[0, :-1], table).double().cpu().numpy()
    lengths = torch.log_softmax(network.length_logits(hidden[0, :-1], batch.token[0, 1:], table), -1).cpu().numpy()
    legal = tokenizer.allowed(events.token[:-1], events.tick[:-1], events.room[:-1], families)
    logits = np.where(legal, logits, -np.inf)
    rows = []
    for i in np.flatnonzero(new):
        token, length = int(events.token[i]), int(events.duration[i])
        if i > 0 and events.written[i - 1]:
            odds = np.exp(logits[i - 1] - logits[i - 1].max())
            event, held = memory.recall_event(), memory.recall_length(token)
            recalled = np.where(legal[i - 1], event.share, 0.0)
            known = event.place is not None and recalled.sum() > 0
            is_note = token >= tokenizer.NOTE
            rows.append(
                (
                    odds[token] / odds.sum(),
                    recalled[token] / recalled.sum() if known else 0.0,
                    event.place if known else -1,
                    np.exp(lengths[i - 1, length]) if is_note else 1.0,
                    held.share[length] if is_note else 1.0,
                    -1 if held.place is None or not is_note else held.place,
                    token >= tokenizer.DRUM,
                )
            )
        if events.written[i] or token == tokenizer.BAR:
            memory.hear(token, length, int(events.tick[i]))
    return np.array(rows, np.float64).reshape(-1, 7)


def interval(values: list[float], draws: int = 2000) -> dict[str, float | None]:
    """Mean and 95 % bootstrap interval (Efron 1979) of figures of independent songs; null where there are none."""
    found = np.array([v for v in values if np.isfinite(v)])
    if not len(found):
        return {"mean": None, "low": None, "high": None, "songs": 0}
    picks = np.random.default_rng(0).integers(0, len(found), (draws, len(found)))
    low, high = np.percentile(found[picks].mean(1), [2.5, 97.5])
    return {"mean": float(found.mean()), "low": float(low), "high": float(high), "songs": len(found)}


def fitted(network: MusicTransformer, heard: list[Chances], rounds: int = 30) -> MusicTransformer:
    """The network with the memory's trust set to what makes these (training) songs likeliest, by EM."""
    trust = _fit([(c.network, c.memory, c.place) for c in heard], rounds)
    length_trust = _fit([(c.length_network, c.length_memory, c.length_place) for c in heard], rounds)
    network.config = replace(network.config, event_trust=trust, length_trust=length_trust)
    return network


def _fit(
    rows: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]], rounds: int
) -> tuple[float, ...]:
    network, memory, place = (np.concatenate([row[i] for row in rows]) for i in range(3))
    trust = []
    for order in range(len(ORDERS)):
        here = place == order
        weight = 0.3
        for _ in range(rounds if here.any() else 0):
            share = weight * memory[here]
            weight = float(np.mean(share / (share + (1 - weight) * network[here])))
        trust.append(round(min(weight, 0.98), 4))
    return tuple(trust)
