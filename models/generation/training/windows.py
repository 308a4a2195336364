"""What the network is trained on: stretches of pieces, each seen in another arrangement every time it is drawn.

A stretch is written as a continuation or as an accompaniment of given tracks and chords. To make up for how few bands
there are, a piano arrangement is sometimes dealt out to an ensemble with a drum loop under it. Tracks are dropped, the
key's estimate is sometimes wrong, and sometimes the first bars carry a transcriber's errors while only what follows
them is learned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.generation.chords import plain
from models.generation.network import Batch
from models.generation.tokenizer import DRUMS, FAMILIES, HAS, TICKS, Events, Ints, Piece, cut, encode
from models.generation.training.corpus import BANDS, Entry
from models.generation.training.transcription_noise import Heard, Mishearing

BASS, PIANO, GUITAR, STRINGS, MELODY = (FAMILIES.index(f) for f in ("bass", "piano", "guitar", "strings", "melody"))
_SOON = 8
"""So many bars after those that were heard are learned: later on, what was written since says more."""
SHARES = {"pop909": 0.64, "bands": 0.3, "nottingham": 0.06}
"""How often each collection is drawn from."""


@dataclass(frozen=True)
class Arranging:
    """How often (0..1) a stretch is rearranged in each way.

    `chords` is how often an accompaniment is told them: where it is not, the melody alone says what fits it.
    `heard` is how often what is to be played on, or the melody to be accompanied, carries a transcriber's errors; of
    these `known` is how often it is music whose sound was truly transcribed, not other music as wrongly heard, and
    `heard_melody` how often a melody is accompanied.
    """

    ensemble: float = 0.35
    accompany: float = 0.5
    chords: float = 0.6
    dropped_track: float = 0.15
    wrong_key: float = 0.08
    heard: float = 0.6
    known: float = 0.4
    heard_melody: float = 0.25


@dataclass(frozen=True)
class Window:
    """Events and which of them the network must predict. Shape of `learned`: (events,)."""

    events: Events
    learned: np.ndarray


class Windows:
    """An endless supply of windows of `length` + 1 events from the pieces to train on."""

    def __init__(self, entries: list[Entry], arranging: Arranging, seed: int, known: Sequence[Heard] = ()) -> None:
        self.arranging, self.known = arranging, list(known)
        self.mishearing = Mishearing(self.known)
        self.rng = np.random.default_rng(seed)
        self.loops = [e.piece for e in entries if e.source == "groove" and e.piece.bars >= 8]
        named = {"bands" if e.source in BANDS else e.source for e in entries} & SHARES.keys()
        self.pools = {
            name: [e.piece for e in entries if e.source == name or (name == "bands" and e.source in BANDS)]
            for name in sorted(named)
        }
        share = np.array([SHARES[name] for name in self.pools])
        self.odds = share / share.sum()
        # long pieces have more to teach, short ones more variety: drawn by the root of their length
        self.weights = {}
        for name, pieces in self.pools.items():
            size = np.sqrt([len(p.notes) for p in pieces])
            self.weights[name] = size / size.sum()

    def batches(self, size: int, length: int) -> Iterator[tuple[Batch, torch.Tensor, torch.Tensor]]:
        """Endless (inputs (B, T + 1), families to write (B, F) bool, which next events count (B, T) bool)."""
        while True:
            windows = [self.window(length + 1) for _ in range(size)]
            fields = ("token", "duration", "tick", "time", "room")
            columns = [torch.from_numpy(np.stack([getattr(w.events, f) for w in windows])) for f in fields]
            learned = torch.from_numpy(np.stack([w.learned[1:] for w in windows]))
            yield Batch(*columns), _families(columns[0]), learned

    def window(self, length: int) -> Window:
        """`length` events, from one piece where it is long enough, else from several one after the other."""
        parts: list[Window] = []
        while sum(len(p.events) for p in parts) < length:
            parts.append(self._stretch(length))
        joined = {
            f: np.concatenate([getattr(p.events, f) for p in parts])[:length] for f in Events.__dataclass_fields__
        }
        if len(parts) > 1:
            ends = np.cumsum([0] + [int(p.events.time[-1]) + 4 * TICKS for p in parts[:-1]])
            late = np.concatenate([np.full(len(p.events), end) for p, end in zip(parts, ends, strict=True)])[:length]
            joined["time"] = joined["time"] + late
        return Window(Events(**joined), np.concatenate([p.learned for p in parts])[:length])

    def _stretch(self, length: int) -> Window:
        rng, how = self.rng, self.arranging
        if self.known and rng.random() < how.heard:
            return self._after_errors(length)
        piece, present = self._arranged(length)
        if rng.random() < how.accompany:
            return self._accompaniment(piece, present)
        events = encode(piece, 0, piece.bars, present)
        return Window(events, np.append(False, events.written[:-1]))

    def _arranged(self, length: int) -> tuple[Piece, list[int]]:
        """A stretch of some piece in some arrangement, and the families that are to be heard of it."""
        rng, how = self.rng, self.arranging
        pool = str(rng.choice(list(self.pools), p=self.odds))
        piece = self.pools[pool][rng.choice(len(self.pools[pool]), p=self.weights[pool])]
        start = 0 if rng.random() < 0.25 else int(rng.integers(0, max(piece.bars - 8, 1)))
        piece = cut(piece, start, min(piece.bars, start + 16 + length // 12))
        if pool == "pop909" and rng.random() < how.ensemble:
            piece = self.dealt_out(piece)
        if rng.random() < how.wrong_key:
            piece = replace(piece, shift=(piece.shift + int(rng.choice([5, 7, 2, 10, 3, 9])) + 6) % 12 - 6)
        present = sorted(piece.families)
        if len(present) > 2:
            present = [f for f in present if f == DRUMS or rng.random() >= how.dropped_track] or present
        return piece, present

    def _accompaniment(self, piece: Piece, present: list[int]) -> Window:
        rng = self.rng
        given = [MELODY] if MELODY in present and rng.random() < 0.85 else []
        others = [f for f in present if f not in given]
        for family in others[1:]:
            if rng.random() < 0.12:
                given.append(family)
        write = [f for f in others if f not in given] or present
        piece = replace(piece, chords=plain(piece.chords)) if rng.random() < 0.6 else piece
        events = encode(piece, 0, piece.bars, write, given, chords=rng.random() < self.arranging.chords)
        return Window(events, np.append(False, events.written[:-1]))

    def _heard(self, length: int) -> Heard:
        """A stretch and what was heard of it: a known one or, as wrongly heard as those, any."""
        rng = self.rng
        if rng.random() < self.arranging.known:
            one = self.known[int(rng.integers(len(self.known)))]
            start = int(rng.integers(0, max(one.piece.bars - 11, 1)))
            return one.cut(start, min(one.piece.bars, start + 16 + length // 12))
        piece, present = self._arranged(length)
        return self.mishearing.of(replace(piece, notes=piece.notes[np.isin(piece.notes[:, 2], present)]), rng)

    def _after_errors(self, length: int) -> Window:
        """A stretch written on after bars that a transcriber heard, or around a melody that it heard."""
        rng, heard = self.rng, self._heard(length)
        piece = heard.piece
        others = sorted(piece.families - {MELODY})
        sung = heard.notes[heard.notes[:, 2] == MELODY]
        if rng.random() < self.arranging.heard_melody and MELODY in piece.families and others and len(sung):
            band = piece.notes[piece.notes[:, 2] != MELODY]
            piece = replace(piece, notes=np.concatenate([sung, band]), chords=heard.chords)
            events = encode(piece, 0, piece.bars, others, [MELODY], chords=rng.random() < self.arranging.chords)
            return Window(events, np.append(False, events.written[:-1]))
        most = max(min(12, piece.bars - 4), 1)
        bar = int(rng.integers(min(4, most), most + 1))
        heard = heard.cut(0, bar + _SOON)
        piece = heard.until(bar) if rng.random() < self.arranging.chords else heard.unnamed.until(bar)
        events = encode(piece, 0, piece.bars, sorted(heard.piece.families))
        return Window(events, np.append(False, events.written[:-1]))

    def dealt_out(self, piece: Piece) -> Piece:
        """A melody-and-piano piece as an ensemble: its lowest notes to the bass, long ones to strings, drums below."""
        rng, notes = self.rng, piece.notes.copy()
        moment = notes[:, 0] * 1000 + notes[:, 1]
        piano = np.flatnonzero(notes[:, 2] == PIANO)
        lowest: dict[int, int] = {}
        for i in piano.tolist():
            if notes[i, 3] < 55 and (moment[i] not in lowest or notes[i, 3] < notes[lowest[moment[i]], 3]):
                lowest[moment[i]] = i
        low = np.array(list(lowest.values()), np.int64)
        rest = np.setdiff1d(piano, low)
        bass = notes[low].copy()
        bass[:, 2] = BASS
        bass[:, 3] = 28 + (bass[:, 3] - 28) % 12 + np.where(bass[:, 3] >= 45, 12, 0)
        long = rest[notes[rest, 4] >= 2 * TICKS]
        if rng.random() < 0.6:
            notes[long, 2] = STRINGS
        if rng.random() < 0.5:
            notes[rest[notes[rest, 2] == PIANO], 2] = GUITAR
        notes = np.concatenate([np.delete(notes, low, 0), bass, self._drums(piece)])
        return replace(piece, notes=np.unique(notes, axis=0))

    def _drums(self, piece: Piece) -> Ints:
        """A drum loop of a fitting tempo, tiled under the bars of a 4/4 piece; nothing under another metre."""
        if piece.metre != 4 or not self.loops:
            return np.zeros((0, 5), np.int64)
        gap = np.array([abs(np.log2(p.tempo_bpm / piece.tempo_bpm)) for p in self.loops])
        loop = self.loops[int(self.rng.choice(np.argsort(gap)[:60]))]
        span = int(self.rng.choice([2, 4, 8]))
        start = int(self.rng.integers(0, loop.bars - span + 1)) if self.rng.random() < 0.7 else 0
        part = loop.notes[(loop.notes[:, 0] >= start) & (loop.notes[:, 0] < start + span)]
        tiles = [part + np.array([bar - start, 0, 0, 0, 0]) for bar in range(0, piece.bars, span)]
        tiled = np.concatenate(tiles) if tiles else part
        return tiled[
            (tiled[:, 0] < piece.bars)
            & (tiled[:, 1] < TICKS * piece.bar_beats[np.minimum(tiled[:, 0], piece.bars - 1)])
        ]


def _families(token: torch.Tensor) -> torch.Tensor:
    """Which families each row's headers name. Shape: (B, F)."""
    return torch.stack([(token == HAS + f).any(1) for f in range(len(FAMILIES))], 1)
