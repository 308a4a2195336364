"""Negative log-likelihood of music in nats, with and without the n-gram cache, and fitting of the cache's weights."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.core.dtypes import BoolArray, DoubleArray, IntArray
from models.generation import tokenizer
from models.generation.network import Batch, MusicTransformer
from models.generation.ngram_cache import ORDERS, NgramCache
from models.generation.tokenizer import Events, Piece, encode


@dataclass(frozen=True)
class EventProbabilities:
    """The probability of each target event of a piece; arrays have shape (target events,).

    `network` and `cache` are those of the event, `length_*` those of a note's duration (1 where there is none), `order`
    and `length_order` the cache's matching context (-1 for none), `note` which events are notes.
    """

    network: DoubleArray
    cache: DoubleArray
    order: IntArray
    length_network: DoubleArray
    length_cache: DoubleArray
    length_order: IntArray
    note: BoolArray

    def nats_per_note(self, trust: tuple[float, ...] = (), length_trust: tuple[float, ...] = ()) -> float:
        """All nats, of POS and BAR too, over the number of notes; without `trust` those of the network alone."""
        event = _interpolated(self.network, self.cache, self.order, trust)
        length = _interpolated(self.length_network, self.length_cache, self.length_order, length_trust)
        return float(-(np.log(event) + np.log(length)).sum() / max(self.note.sum(), 1))


def _interpolated(network: DoubleArray, ngrams: DoubleArray, order: IntArray, trust: tuple[float, ...]) -> DoubleArray:
    weight = np.append(np.asarray(trust or (0.0,) * len(ORDERS)), 0.0)[order]
    return np.asarray((1 - weight) * network + weight * ngrams)


@torch.inference_mode()
def event_probabilities(
    network: MusicTransformer,
    piece: Piece,
    write: Collection[int],
    given: Collection[int] = (),
    chords: bool = False,
    start: int = 0,
    stop: int | None = None,
) -> EventProbabilities:
    """Probabilities of the target events of bars [start, stop), each with at least half a context of past events."""
    last = piece.bars if stop is None else min(stop, piece.bars)
    rows: list[DoubleArray] = []
    ngrams, first, done = NgramCache(), 0, start
    _update_cache(ngrams, encode(piece, 0, start, write, given, chords))
    while done < last:
        first, stop = _window_bars(piece, done, last, write, given, chords, network.config.context)
        events = encode(piece, first, stop, write, given, chords)
        bar = np.cumsum(events.token == tokenizer.BAR) - 1 + first
        rows.append(_window(network, events, bar >= done, ngrams, write))
        done = stop
    table = np.concatenate(rows)
    places = table[:, [2, 5]].astype(np.int64)
    return EventProbabilities(
        table[:, 0], table[:, 1], places[:, 0], table[:, 3], table[:, 4], places[:, 1], table[:, 6] > 0
    )


def _update_cache(ngrams: NgramCache, events: Events) -> None:
    for i in np.flatnonzero(events.predicts_next | (events.token == tokenizer.BAR)):
        ngrams.update(int(events.token[i]), int(events.duration[i]), int(events.tick[i]))


def _window_bars(
    piece: Piece, done: int, last: int, write: Collection[int], given: Collection[int], chords: bool, context: int
) -> tuple[int, int]:
    """Bars [first, stop) that fit in the context: as many before `done` as fill half of it, new ones in the rest."""
    first = tokenizer.context_start(piece, done, context // 2, write, given, chords)
    stop = done + 1
    while stop < last and len(encode(piece, first, stop + 1, write, given, chords)) <= context:
        stop += 1
    return first, stop


def _window(
    network: MusicTransformer,
    events: Events,
    new: BoolArray,
    ngrams: NgramCache,
    write: Collection[int],
) -> DoubleArray:
    """A row of seven values, as in `EventProbabilities`, for each target event among the `new` ones."""
    families = np.isin(np.arange(len(tokenizer.FAMILIES)), list(write))
    batch = Batch.of(events, str(network.trait_of.device))
    hidden = network(batch)
    table = network.table()
    logits = network.token_logits(hidden[0, :-1], table).double().cpu().numpy()
    lengths = torch.log_softmax(network.length_logits(hidden[0, :-1], batch.token[0, 1:], table), -1).cpu().numpy()
    legal = tokenizer.grammar_mask(events.token[:-1], events.tick[:-1], events.bar_ticks[:-1], families)
    logits = np.where(legal, logits, -np.inf)
    rows = []
    for i in np.flatnonzero(new):
        token, length = int(events.token[i]), int(events.duration[i])
        if i > 0 and events.predicts_next[i - 1]:
            probs = np.exp(logits[i - 1] - logits[i - 1].max())
            event, duration = ngrams.predict_event(), ngrams.predict_length(token)
            cached = np.where(legal[i - 1], event.probs, 0.0)
            has_match = event.order_index is not None and cached.sum() > 0
            is_note = token >= tokenizer.NOTE
            rows.append(
                (
                    probs[token] / probs.sum(),
                    cached[token] / cached.sum() if has_match else 0.0,
                    event.order_index if has_match else -1,
                    np.exp(lengths[i - 1, length]) if is_note else 1.0,
                    duration.probs[length] if is_note else 1.0,
                    -1 if duration.order_index is None or not is_note else duration.order_index,
                    token >= tokenizer.DRUM,
                )
            )
        if events.predicts_next[i] or token == tokenizer.BAR:
            ngrams.update(token, length, int(events.tick[i]))
    return np.array(rows, np.float64).reshape(-1, 7)


def bootstrap_ci(values: list[float], draws: int = 2000) -> dict[str, float | None]:
    """Mean and 95 % bootstrap interval (Efron 1979) over independent songs, NaNs dropped; null where there are none."""
    finite = np.array([v for v in values if np.isfinite(v)])
    if not len(finite):
        return {"mean": None, "low": None, "high": None, "songs": 0}
    picks = np.random.default_rng(0).integers(0, len(finite), (draws, len(finite)))
    low, high = np.percentile(finite[picks].mean(1), [2.5, 97.5])
    return {"mean": float(finite.mean()), "low": float(low), "high": float(high), "songs": len(finite)}


def fit_cache_weights(network: MusicTransformer, songs: list[EventProbabilities], rounds: int = 30) -> MusicTransformer:
    """The network with the cache's interpolation weights that maximise the likelihood of `songs`, by EM."""
    trust = _em_weights([(c.network, c.cache, c.order) for c in songs], rounds)
    length_trust = _em_weights([(c.length_network, c.length_cache, c.length_order) for c in songs], rounds)
    network.config = replace(network.config, event_trust=trust, length_trust=length_trust)
    return network


def _em_weights(rows: list[tuple[DoubleArray, DoubleArray, IntArray]], rounds: int) -> tuple[float, ...]:
    network, ngrams, orders = (np.concatenate([row[i] for row in rows]) for i in range(3))
    trust = []
    for order in range(len(ORDERS)):
        here = orders == order
        weight = 0.3
        for _ in range(rounds if here.any() else 0):
            share = weight * ngrams[here]
            weight = float(np.mean(share / (share + (1 - weight) * network[here])))
        trust.append(round(min(weight, 0.98), 4))
    return tuple(trust)
