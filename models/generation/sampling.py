"""Sampling bars event by event, with grammar mask, key-value cache, n-gram cache, pitch bias and repetition penalty."""

from dataclasses import replace

import numpy as np
import torch

from models.core.dtypes import DoubleArray, IntArray
from models.core.progress import UNWATCHED, Watch
from models.generation import tokenizer
from models.generation.drum_resumption import DrumResumption
from models.generation.key_chord_bias import apply_pitch_bias, chord_log_bias, key_log_bias
from models.generation.network import Batch, KVCache, MusicTransformer
from models.generation.ngram_cache import NgramCache, interpolate
from models.generation.repetition_penalty import RepetitionPenalty, expected_notes_per_bar
from models.generation.requests import Request
from models.generation.settings import SamplingParams
from models.generation.tokenizer import DRUMS, Events, decode, encode

MAX_EVENTS_PER_BAR = 160
"""A bar is closed at this many events."""
ONSET_TICKS = np.isin(np.arange(tokenizer.TICKS), (0, 3, 4, 6, 8, 9))
"""The ticks of a beat on which sampled notes may begin: sixteenths and triplets. In the training data the ticks between
are drummers' early and late hits, which would sound as a constant timing error on a quantized band."""
COPY_PATIENCE, COPY_DECAY = 24, 0.9
"""After so many consecutive events copied from the n-gram cache, about a bar, its weight decays by this factor an
event."""


def generate_bars(
    network: MusicTransformer,
    request: Request,
    sampling: SamplingParams,
    rng: np.random.Generator,
    watch: Watch = UNWATCHED,
) -> IntArray:
    """The new notes, as rows of `Piece.notes`.

    The network sees as many whole past bars as leave a quarter of its context free; when that is full, the older half
    is dropped and the rest read again. The n-gram cache covers the whole song. No two bars in a row stay silent.
    """
    writer = _BarSampler(network, request, sampling, rng)
    rows = [np.zeros((0, 5), np.int64)]
    with torch.inference_mode():
        for bar in range(request.start, request.stop):
            watch.at((bar - request.start) / (request.stop - request.start))
            rows.append(writer.bar(bar))
    watch.at(1.0)
    return np.concatenate(rows)


class _BarSampler:
    """State of one `generate_bars`: the piece so far and caches over its last bars and over all of it."""

    def __init__(
        self, network: MusicTransformer, request: Request, sampling: SamplingParams, rng: np.random.Generator
    ) -> None:
        self.network, self.request, self.sampling, self.rng = network, request, sampling, rng
        self.device = str(next(network.parameters()).device)
        self.piece = request.piece
        self.families = np.isin(np.arange(len(tokenizer.FAMILIES)), list(request.write))
        self.ngrams = NgramCache()
        self.repetition = RepetitionPenalty(
            request.piece.shift, expected_notes_per_bar(request.piece, request.start, request.write, sampling.density)
        )
        self.resumption = DrumResumption()
        self.bar_time = 0
        self.copied = 0
        self.cache: KVCache | None = None
        self.first = 0
        self.silent = False
        self.key_bias = key_log_bias(request.piece, request.start)
        self.pitch_bias = np.zeros((0, 12))
        if request.start:
            past = self._encoded(0, request.start)
            for i in np.flatnonzero(past.predicts_next | (past.token == tokenizer.BAR)):
                self.ngrams.update(int(past.token[i]), int(past.duration[i]), int(past.tick[i]))
                self.repetition.add_past_note(int(past.token[i]), int(past.time[i]))
        self.bar_time = int(request.piece.bar_beats[: request.start].sum()) * tokenizer.TICKS

    def bar(self, bar: int) -> IntArray:
        """Generate one bar and return its notes."""
        body = _bar_condition(self._encoded(bar, bar + 1))
        self._make_room(bar, len(body))
        assert self.cache is not None
        bar_time = int(self.piece.bar_beats[self.first : bar].sum()) * tokenizer.TICKS
        body = replace(body, time=body.time + bar_time)
        hidden = self.network(Batch.of(body, self.device), self.cache)[0, -1]
        self.pitch_bias = self.key_bias + chord_log_bias(self.piece, bar) * self.request.chords
        self.resumption.start_bar(
            self.piece, bar, self.repetition.has_stopped(DRUMS), self.repetition.expected.get(DRUMS, 0.0)
        )
        self.ngrams.update(tokenizer.BAR, 0, 0)
        self.ngrams.update(tokenizer.GEN, 0, 0)
        new = decode(self._events(hidden, bar_time, int(body.bar_ticks[-1])), self.piece.shift)[0]
        new[:, 0] = bar
        self.silent = not len(new)
        self.bar_time += int(body.bar_ticks[-1])
        self.repetition.end_bar()
        self.piece = replace(self.piece, notes=np.concatenate([self.piece.notes, new]))
        return new

    def _events(self, hidden: torch.Tensor, bar_time: int, bar_ticks: int) -> Events:
        """Events drawn until the bar is closed."""
        drawn: list[tuple[int, int, int]] = [(tokenizer.BAR, 0, 0)]
        token, tick = tokenizer.GEN, 0
        for count in range(MAX_EVENTS_PER_BAR + 1):
            if count == MAX_EVENTS_PER_BAR and not tokenizer.POS < token < tokenizer.CHORD:
                break
            token = self._draw_event(hidden, token, tick, bar_ticks)
            if token == tokenizer.BAR:
                break
            tick = token - tokenizer.POS if tokenizer.POS < token < tokenizer.CHORD else tick
            length = self._draw_length(hidden, token) if token >= tokenizer.NOTE else 0
            drawn.append((token, length, tick))
            self.ngrams.update(token, length, tick)
            self.repetition.add_note(token, self.bar_time + tick)
            self.resumption.update(token, tick)
            step = np.array([[token, length, tick, bar_time + tick, bar_ticks]])
            assert self.cache is not None
            hidden = self.network(Batch(*torch.from_numpy(step).to(self.device).T[..., None]), self.cache)[0, -1]
        column = np.array(drawn, np.int64).T
        zeros = np.zeros(len(drawn), np.int64)
        return Events(column[0], column[1], column[2], zeros, zeros, zeros > 0)

    def _draw_event(self, hidden: torch.Tensor, token: int, tick: int, bar_ticks: int) -> int:
        assert self.cache is not None
        legal = tokenizer.grammar_mask(np.array(token), np.array(tick), np.array(bar_ticks), self.families)
        legal[tokenizer.BAR] &= not (self.silent and token == tokenizer.GEN)
        legal[tokenizer.POS : tokenizer.CHORD] &= np.resize(ONSET_TICKS, tokenizer.MAX_BAR_TICKS)
        self.resumption.mask_tokens(legal, token, tick)
        logits = self.network.token_logits(hidden, self.cache.table).double().cpu().numpy()
        # density scales the odds of a note against a POS, and of a POS against the bar's end
        logits[tokenizer.DRUM :] += np.log(self.sampling.density)
        logits[tokenizer.BAR] -= np.log(self.sampling.density)
        probs = _softmax(np.where(legal, logits, -np.inf))
        trust = self.network.config.event_trust
        cached = self.ngrams.predict_event()
        decay = COPY_DECAY ** max(self.copied - COPY_PATIENCE, 0)
        probs = interpolate(probs, cached, trust, self.sampling.follow * decay)
        probs = apply_pitch_bias(probs, self.pitch_bias[tick], self.sampling.harmony)
        drawn = self._pick(self.repetition.penalize(probs, self.bar_time + tick, len(self.resumption.pending)))
        self.copied = self.copied + 1 if cached.order_index == 0 and cached.probs[drawn] >= 0.5 else 0
        return drawn

    def _draw_length(self, hidden: torch.Tensor, token: int) -> int:
        assert self.cache is not None
        which = torch.tensor(token, device=self.device)
        logits = self.network.length_logits(hidden, which, self.cache.table).double().cpu().numpy()
        trust = self.network.config.length_trust
        return self._pick(interpolate(_softmax(logits), self.ngrams.predict_length(token), trust, self.sampling.follow))

    def _pick(self, probs: DoubleArray) -> int:
        """One draw, after temperature and nucleus (Holtzman et al. 2020)."""
        probs = np.where(probs > 0, probs, 0.0)
        probs = np.power(probs / probs.max(), 1 / self.sampling.temperature)
        probs /= probs.sum()
        order = np.argsort(-probs, kind="stable")
        cumulative = np.cumsum(probs[order])
        kept = order[: int(np.searchsorted(cumulative, self.sampling.top_p)) + 1]
        return int(kept[np.searchsorted(np.cumsum(probs[kept]), self.rng.random() * probs[kept].sum(), side="right")])

    def _encoded(self, start: int, stop: int) -> Events:
        return encode(self.piece, start, stop, self.request.write, self.request.given, self.request.chords)

    def _make_room(self, bar: int, new_events: int) -> None:
        """A key-value cache that ends just before `bar`, with room for it."""
        context = self.network.config.context
        if self.cache is not None and self.cache.length + new_events + MAX_EVENTS_PER_BAR // 2 <= context:
            return
        budget = context // 2 if self.cache is not None else context - context // 4
        request = self.request
        self.first = tokenizer.context_start(self.piece, bar, budget, request.write, request.given, request.chords)
        past = self._encoded(self.first, bar)
        self.cache = self.network.new_cache(max(context, len(past)) + new_events + MAX_EVENTS_PER_BAR + 1, self.device)
        self.network(Batch.of(past, self.device), self.cache)


def _bar_condition(events: Events) -> Events:
    """A single bar's events from BAR to GEN: its condition."""
    window = slice(int(np.argmax(events.token == tokenizer.BAR)), int(np.argmax(events.token == tokenizer.GEN)) + 1)
    return Events(*(getattr(events, f)[window] for f in Events.__dataclass_fields__))


def _softmax(logits: DoubleArray) -> DoubleArray:
    probs = np.exp(logits - logits.max())
    return np.asarray(probs / probs.sum())
