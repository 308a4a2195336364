"""What the network is trained on: stretches of pieces, each seen in another arrangement every time it is drawn.

A stretch is written as a continuation or as an accompaniment of given tracks and chords. To make up for how few bands
there are, a piano arrangement is sometimes dealt out to an ensemble with a drum loop under it. Tracks are dropped, the
key's estimate is sometimes wrong, and sometimes the first bars carry a transcriber's errors while only what follows
them is learned.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.music_transformer.corpus import BANDS, Entry
from models.music_transformer.network import Batch
from models.music_transformer.tokens import BAR, DRUMS, FAMILIES, HAS, TICKS, Events, Ints, Piece, encode

BASS, PIANO, GUITAR, STRINGS, MELODY = (FAMILIES.index(f) for f in ("bass", "piano", "guitar", "strings", "melody"))
SHARES = {"pop909": 0.64, "bands": 0.3, "nottingham": 0.06}
"""How often each collection is drawn from."""


@dataclass(frozen=True)
class Arranging:
    """How often (0..1) a stretch is rearranged in each way, and the errors of a corrupted prompt a true note.

    `chords` is how often an accompaniment is told them: where it is not, the melody alone says what fits it.
    The rates are what `robustness.error_rates` found in training songs that were played, mixed, taken apart by the
    shipped separator and transcribed.
    """

    ensemble: float = 0.35
    accompany: float = 0.5
    chords: float = 0.6
    dropped_track: float = 0.15
    wrong_key: float = 0.08
    corrupted: float = 0.2
    missed: float = 0.4
    octave: float = 0.06
    spurious: float = 0.9
    moved: float = 0.2


@dataclass(frozen=True)
class Window:
    """Events and which of them the network must predict. Shape of `learned`: (events,)."""

    events: Events
    learned: np.ndarray


class Windows:
    """An endless supply of windows of `length` + 1 events from the pieces to train on."""

    def __init__(self, entries: list[Entry], arranging: Arranging, seed: int) -> None:
        self.arranging = arranging
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
        if rng.random() < how.accompany:
            return self._accompaniment(piece, present)
        if rng.random() < how.corrupted:
            return self._after_errors(piece, present)
        events = encode(piece, 0, piece.bars, present)
        return Window(events, np.append(False, events.written[:-1]))

    def _accompaniment(self, piece: Piece, present: list[int]) -> Window:
        rng = self.rng
        given = [MELODY] if MELODY in present and rng.random() < 0.85 else []
        others = [f for f in present if f not in given]
        for family in others[1:]:
            if rng.random() < 0.12:
                given.append(family)
        write = [f for f in others if f not in given] or present
        piece = plainer_chords(piece) if rng.random() < 0.6 else piece
        if rng.random() < 0.3 and len(given):
            piece = self.corrupted(piece, given, piece.bars)
        events = encode(piece, 0, piece.bars, write, given, chords=rng.random() < self.arranging.chords)
        return Window(events, np.append(False, events.written[:-1]))

    def _after_errors(self, piece: Piece, present: list[int]) -> Window:
        boundary = int(self.rng.integers(4, 13))
        events = encode(self.corrupted(piece, present, boundary), 0, piece.bars, present)
        bars = np.cumsum(events.token == BAR) - 1
        return Window(events, np.append(False, events.written[:-1]) & (bars >= boundary))

    def corrupted(self, piece: Piece, families: list[int], bars: int) -> Piece:
        """The piece as a transcriber might hear the first `bars` bars of `families`: missed, spurious, moved notes."""
        rng, how = self.rng, self.arranging
        notes = piece.notes.copy()
        hit = (notes[:, 0] < bars) & np.isin(notes[:, 2], families)
        n = len(notes)
        pitched = hit & (notes[:, 2] != DRUMS)
        notes[:, 3] += np.where(pitched & (rng.random(n) < how.octave), rng.choice([-12, 12], n), 0)
        room = piece.bar_beats[notes[:, 0]] * TICKS
        slip = np.where(hit & (rng.random(n) < how.moved), rng.choice([-1, 1], n), 0)
        notes[:, 1] = np.clip(notes[:, 1] + slip, 0, room - 1)
        longer = np.where(pitched & (rng.random(n) < 0.5), rng.choice([0.5, 0.75, 1.25], n), 1.0)
        notes[:, 4] = np.maximum(np.round(notes[:, 4] * longer), 1)
        extra = notes[hit & (rng.random(n) < how.spurious)].copy()
        drums = extra[:, 2] == DRUMS
        extra[:, 3] = np.where(
            drums,
            rng.choice([36, 38, 42], len(extra)),
            extra[:, 3] + rng.choice([0, 0, -12, 12, 7, 19, -1, 1], len(extra)),
        )
        late = rng.choice([0, TICKS // 4, TICKS // 2, TICKS], len(extra))
        extra[:, 1] = (extra[:, 1] + late) % (piece.bar_beats[extra[:, 0]] * TICKS)
        kept = notes[~(hit & (rng.random(n) < how.missed))]
        notes = np.concatenate([kept, extra])
        notes[:, 3] = np.clip(notes[:, 3], 0, 127)
        return replace(piece, notes=np.unique(notes, axis=0))

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


def cut(piece: Piece, start: int, stop: int) -> Piece:
    """Bars [start, stop) as a piece of their own, beginning in the chord that sounds there."""
    notes = piece.notes[(piece.notes[:, 0] >= start) & (piece.notes[:, 0] < stop)]
    chords = piece.chords[(piece.chords[:, 0] >= start) & (piece.chords[:, 0] < stop)]
    before = piece.chords[piece.chords[:, 0] < start]
    if len(before):
        chords = np.concatenate([[[start, 0, before[-1, 2]]], chords])
    move = np.array([start, 0, 0, 0, 0])
    return replace(piece, bar_beats=piece.bar_beats[start:stop], notes=notes - move, chords=chords - move[:3])


def plainer_chords(piece: Piece) -> Piece:
    """The chords as a beat tracker names them: major and minor alone."""
    chords = piece.chords.copy()
    root, quality = np.divmod(chords[:, 2] - 1, 6)
    plain = 1 + root * 6 + np.isin(quality, (1, 3))
    chords[:, 2] = np.where(chords[:, 2] == 0, 0, plain)
    return replace(piece, chords=chords)


def _families(token: torch.Tensor) -> torch.Tensor:
    """Which families each row's headers name. Shape: (B, F)."""
    return torch.stack([(token == HAS + f).any(1) for f in range(len(FAMILIES))], 1)
