"""Writing bars event by event: the grammar masks what cannot follow, a cache keeps the past, the memory joins in."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.core.progress import UNWATCHED, Watch
from models.generation import tokenizer
from models.generation.drum_resumption import Resuming
from models.generation.key_chord_bias import chord_leans, key_lean, leaned
from models.generation.network import Batch, Cache, MusicTransformer
from models.generation.ngram_cache import Memory, mixed
from models.generation.repetition_penalty import Variety, usual_notes
from models.generation.requests import Manner, Task
from models.generation.tokenizer import DRUMS, Events, Ints, decode, encode

MOST_EVENTS = 160
"""A bar that has come to this many events is closed."""
STRAIGHT = np.isin(np.arange(tokenizer.TICKS), (0, 3, 4, 6, 8, 9))
"""The ticks of a beat on which new notes begin: sixteenths and triplets. Between them lie only the drummers' early and
late strokes in what was learned from, which a band on a grid turns into a drummer who is always early."""
COPIED, WEARY = 24, 0.9
"""After so many events in a row as the memory has them, about a bar, it is trusted by this factor less each event."""


def write_bars(
    network: MusicTransformer, task: Task, manner: Manner, rng: np.random.Generator, watch: Watch = UNWATCHED
) -> Ints:
    """The new notes, as rows of `Piece.notes`.

    The network sees as many whole bars of the past as leave a quarter of its context free; when that is full, the
    older half is dropped and the rest read again. The memory keeps the whole song. No two bars in a row stay silent.
    """
    writer = _Writer(network, task, manner, rng)
    rows = [np.zeros((0, 5), np.int64)]
    with torch.inference_mode():
        for bar in range(task.start, task.stop):
            watch.at((bar - task.start) / (task.stop - task.start))
            rows.append(writer.bar(bar))
    watch.at(1.0)
    return np.concatenate(rows)


class _Writer:
    """The state of one `write_bars`: the piece as it stands, the cache over its last bars, the memory of all of it."""

    def __init__(self, network: MusicTransformer, task: Task, manner: Manner, rng: np.random.Generator) -> None:
        self.network, self.task, self.manner, self.rng = network, task, manner, rng
        self.device = str(next(network.parameters()).device)
        self.piece = task.piece
        self.families = np.isin(np.arange(len(tokenizer.FAMILIES)), list(task.write))
        self.memory = Memory()
        self.variety = Variety(task.piece.shift, usual_notes(task.piece, task.start, task.write, manner.density))
        self.resuming = Resuming()
        self.begin = 0
        self.copied = 0
        self.cache: Cache | None = None
        self.first = 0
        self.silent = False
        self.key = key_lean(task.piece, task.start)
        self.leans = np.zeros((0, 12))
        if task.start:
            past = self._encoded(0, task.start)
            for i in np.flatnonzero(past.written | (past.token == tokenizer.BAR)):
                self.memory.hear(int(past.token[i]), int(past.duration[i]), int(past.tick[i]))
                self.variety.remember(int(past.token[i]), int(past.time[i]))
        self.begin = int(task.piece.bar_beats[: task.start].sum()) * tokenizer.TICKS

    def bar(self, bar: int) -> Ints:
        """Write one bar and return its notes."""
        body = _opening(self._encoded(bar, bar + 1))
        self._make_room(bar, len(body))
        assert self.cache is not None
        begin = int(self.piece.bar_beats[self.first : bar].sum()) * tokenizer.TICKS
        body = replace(body, time=body.time + begin)
        hidden = self.network(Batch.of(body, self.device), self.cache)[0, -1]
        self.leans = self.key + chord_leans(self.piece, bar) * self.task.chords
        self.resuming.begin(self.piece, bar, self.variety.has_stopped(DRUMS), self.variety.usual.get(DRUMS, 0.0))
        self.memory.hear(tokenizer.BAR, 0, 0)
        self.memory.hear(tokenizer.GEN, 0, 0)
        new = decode(self._events(hidden, begin, int(body.room[-1])), self.piece.shift)[0]
        new[:, 0] = bar
        self.silent = not len(new)
        self.begin += int(body.room[-1])
        self.variety.bar_over()
        self.piece = replace(self.piece, notes=np.concatenate([self.piece.notes, new]))
        return new

    def _events(self, hidden: torch.Tensor, begin: int, room: int) -> Events:
        """Events drawn until the bar is closed."""
        drawn: list[tuple[int, int, int]] = [(tokenizer.BAR, 0, 0)]
        token, tick = tokenizer.GEN, 0
        for count in range(MOST_EVENTS + 1):
            if count == MOST_EVENTS and not tokenizer.POS < token < tokenizer.CHORD:
                break
            token = self._draw_event(hidden, token, tick, room)
            if token == tokenizer.BAR:
                break
            tick = token - tokenizer.POS if tokenizer.POS < token < tokenizer.CHORD else tick
            length = self._draw_length(hidden, token) if token >= tokenizer.NOTE else 0
            drawn.append((token, length, tick))
            self.memory.hear(token, length, tick)
            self.variety.hear(token, self.begin + tick)
            self.resuming.hear(token, tick)
            step = np.array([[token, length, tick, begin + tick, room]])
            assert self.cache is not None
            hidden = self.network(Batch(*torch.from_numpy(step).to(self.device).T[..., None]), self.cache)[0, -1]
        column = np.array(drawn, np.int64).T
        nothing = np.zeros(len(drawn), np.int64)
        return Events(column[0], column[1], column[2], nothing, nothing, nothing > 0)

    def _draw_event(self, hidden: torch.Tensor, token: int, tick: int, room: int) -> int:
        assert self.cache is not None
        legal = tokenizer.allowed(np.array(token), np.array(tick), np.array(room), self.families)
        legal[tokenizer.BAR] &= not (self.silent and token == tokenizer.GEN)
        legal[tokenizer.POS : tokenizer.CHORD] &= np.resize(STRAIGHT, tokenizer.MOST_TICKS)
        self.resuming.restrict(legal, token, tick)
        logits = self.network.token_logits(hidden, self.cache.table).double().cpu().numpy()
        # more density: the odds of one more note against moving on, or of moving on against closing the bar
        logits[tokenizer.DRUM :] += np.log(self.manner.density)
        logits[tokenizer.BAR] -= np.log(self.manner.density)
        odds = _softmax(np.where(legal, logits, -np.inf))
        trust = self.network.config.event_trust
        recalled = self.memory.recall_event()
        weary = WEARY ** max(self.copied - COPIED, 0)
        odds = mixed(odds, recalled, trust, self.manner.follow * weary)
        odds = leaned(odds, self.leans[tick], self.manner.harmony)
        drawn = self._pick(self.variety.tempered(odds, self.begin + tick, len(self.resuming.due)))
        self.copied = self.copied + 1 if recalled.place == 0 and recalled.share[drawn] >= 0.5 else 0
        return drawn

    def _draw_length(self, hidden: torch.Tensor, token: int) -> int:
        assert self.cache is not None
        which = torch.tensor(token, device=self.device)
        logits = self.network.length_logits(hidden, which, self.cache.table).double().cpu().numpy()
        trust = self.network.config.length_trust
        return self._pick(mixed(_softmax(logits), self.memory.recall_length(token), trust, self.manner.follow))

    def _pick(self, odds: NDArray[np.float64]) -> int:
        """One draw, after temperature and nucleus (Holtzman et al. 2020)."""
        odds = np.where(odds > 0, odds, 0.0)
        odds = np.power(odds / odds.max(), 1 / self.manner.temperature)
        odds /= odds.sum()
        order = np.argsort(-odds, kind="stable")
        above = np.cumsum(odds[order])
        kept = order[: int(np.searchsorted(above, self.manner.top_p)) + 1]
        return int(kept[np.searchsorted(np.cumsum(odds[kept]), self.rng.random() * odds[kept].sum(), side="right")])

    def _encoded(self, start: int, stop: int) -> Events:
        return encode(self.piece, start, stop, self.task.write, self.task.given, self.task.chords)

    def _make_room(self, bar: int, coming: int) -> None:
        """A cache that ends just before `bar` and has room for it."""
        context = self.network.config.context
        if self.cache is not None and self.cache.length + coming + MOST_EVENTS // 2 <= context:
            return
        share = context // 2 if self.cache is not None else context - context // 4
        task = self.task
        self.first = tokenizer.reaching_back(self.piece, bar, share, task.write, task.given, task.chords)
        past = self._encoded(self.first, bar)
        self.cache = self.network.new_cache(max(context, len(past)) + coming + MOST_EVENTS + 1, self.device)
        self.network(Batch.of(past, self.device), self.cache)


def _opening(events: Events) -> Events:
    """Of one bar's events those from BAR to GEN: what is known before anything is written."""
    window = slice(int(np.argmax(events.token == tokenizer.BAR)), int(np.argmax(events.token == tokenizer.GEN)) + 1)
    return Events(*(getattr(events, f)[window] for f in Events.__dataclass_fields__))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    odds = np.exp(logits - logits.max())
    return np.asarray(odds / odds.sum())
