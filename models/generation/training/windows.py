"""Training windows: excerpts of pieces, augmented anew each time they are drawn.

An excerpt is a continuation or an accompaniment of given tracks and chords. To make up for the few bands in the corpus,
piano arrangements are sometimes orchestrated for a band with a drum loop. Tracks are dropped, the key is sometimes
wrong, and sometimes the first bars carry transcription noise and only the bars after them have a loss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.core.dtypes import IntArray
from models.generation.chords import reduce_to_triads
from models.generation.network import Batch
from models.generation.tokenizer import DRUMS, FAMILIES, HAS, TICKS, Events, Piece, encode, slice_bars
from models.generation.training.corpus import BANDS, Entry
from models.generation.training.transcription_noise import TranscribedPiece, TranscriptionNoise

BASS, PIANO, GUITAR, STRINGS, MELODY = (FAMILIES.index(f) for f in ("bass", "piano", "guitar", "strings", "melody"))
_LOSS_BARS = 8
"""After transcribed bars so many bars have a loss: later ones depend more on what was generated since."""
SOURCE_SHARES = {"pop909": 0.64, "bands": 0.3, "nottingham": 0.06}
"""Sampling probabilities of the collections."""


@dataclass(frozen=True)
class Augmentation:
    """Probabilities (0..1) of each augmentation of an excerpt.

    `chords`: an accompaniment is conditioned on chords, else on the melody alone. `transcribed`: the prompt, or the
    melody to accompany, has transcription noise; of these `own_transcription` is the share with the pipeline's
    transcription of the same piece instead of resampled noise, and `transcribed_melody` the share of accompaniments.
    """

    ensemble: float = 0.35
    accompany: float = 0.5
    chords: float = 0.6
    dropped_track: float = 0.15
    wrong_key: float = 0.08
    transcribed: float = 0.6
    own_transcription: float = 0.4
    transcribed_melody: float = 0.25


@dataclass(frozen=True)
class Window:
    """Events and which of them have a loss. Shape of `loss_mask`: (events,)."""

    events: Events
    loss_mask: np.ndarray


class Windows:
    """An endless supply of windows of `length` + 1 events from the pieces to train on."""

    def __init__(
        self, entries: list[Entry], augmentation: Augmentation, seed: int, transcribed: Sequence[TranscribedPiece] = ()
    ) -> None:
        self.augmentation, self.transcriptions = augmentation, list(transcribed)
        self.noise = TranscriptionNoise(self.transcriptions)
        self.rng = np.random.default_rng(seed)
        self.loops = [e.piece for e in entries if e.source == "groove" and e.piece.bars >= 8]
        names = {"bands" if e.source in BANDS else e.source for e in entries} & SOURCE_SHARES.keys()
        self.pools = {
            name: [e.piece for e in entries if e.source == name or (name == "bands" and e.source in BANDS)]
            for name in sorted(names)
        }
        share = np.array([SOURCE_SHARES[name] for name in self.pools])
        self.pool_probs = share / share.sum()
        # by the root of their length: between one draw a note and one draw a piece
        self.weights = {}
        for name, pieces in self.pools.items():
            size = np.sqrt([len(p.notes) for p in pieces])
            self.weights[name] = size / size.sum()

    def batches(self, size: int, length: int) -> Iterator[tuple[Batch, torch.Tensor, torch.Tensor]]:
        """Endless (inputs (B, T + 1), families to write (B, F) bool, loss mask of the next events (B, T) bool)."""
        while True:
            windows = [self.window(length + 1) for _ in range(size)]
            fields = ("token", "duration", "tick", "time", "bar_ticks")
            columns = [torch.from_numpy(np.stack([getattr(w.events, f) for w in windows])) for f in fields]
            loss_mask = torch.from_numpy(np.stack([w.loss_mask[1:] for w in windows]))
            yield Batch(*columns), _families(columns[0]), loss_mask

    def window(self, length: int) -> Window:
        """`length` events, from one piece where it is long enough, else from several in sequence."""
        parts: list[Window] = []
        while sum(len(p.events) for p in parts) < length:
            parts.append(self._excerpt(length))
        columns = {
            f: np.concatenate([getattr(p.events, f) for p in parts])[:length] for f in Events.__dataclass_fields__
        }
        if len(parts) > 1:
            ends = np.cumsum([0] + [int(p.events.time[-1]) + 4 * TICKS for p in parts[:-1]])
            late = np.concatenate([np.full(len(p.events), end) for p, end in zip(parts, ends, strict=True)])[:length]
            columns["time"] = columns["time"] + late
        return Window(Events(**columns), np.concatenate([p.loss_mask for p in parts])[:length])

    def _excerpt(self, length: int) -> Window:
        rng, how = self.rng, self.augmentation
        if self.transcriptions and rng.random() < how.transcribed:
            return self._after_transcription(length)
        piece, present = self._augmented(length)
        if rng.random() < how.accompany:
            return self._accompaniment(piece, present)
        events = encode(piece, 0, piece.bars, present)
        return Window(events, np.append(False, events.predicts_next[:-1]))

    def _augmented(self, length: int) -> tuple[Piece, list[int]]:
        """An excerpt of some piece with some augmentation, and its families that are kept."""
        rng, how = self.rng, self.augmentation
        pool = str(rng.choice(list(self.pools), p=self.pool_probs))
        piece = self.pools[pool][rng.choice(len(self.pools[pool]), p=self.weights[pool])]
        start = 0 if rng.random() < 0.25 else int(rng.integers(0, max(piece.bars - 8, 1)))
        piece = slice_bars(piece, start, min(piece.bars, start + 16 + length // 12))
        if pool == "pop909" and rng.random() < how.ensemble:
            piece = self.orchestrate(piece)
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
        piece = replace(piece, chords=reduce_to_triads(piece.chords)) if rng.random() < 0.6 else piece
        events = encode(piece, 0, piece.bars, write, given, chords=rng.random() < self.augmentation.chords)
        return Window(events, np.append(False, events.predicts_next[:-1]))

    def _transcribed_pair(self, length: int) -> TranscribedPiece:
        """An excerpt and a transcription of it: the pipeline's or, with resampled noise, of any piece."""
        rng = self.rng
        if rng.random() < self.augmentation.own_transcription:
            one = self.transcriptions[int(rng.integers(len(self.transcriptions)))]
            start = int(rng.integers(0, max(one.piece.bars - 11, 1)))
            return one.slice_bars(start, min(one.piece.bars, start + 16 + length // 12))
        piece, present = self._augmented(length)
        return self.noise.apply(replace(piece, notes=piece.notes[np.isin(piece.notes[:, 2], present)]), rng)

    def _after_transcription(self, length: int) -> Window:
        """A continuation after transcribed bars, or an accompaniment of a transcribed melody."""
        rng, pair = self.rng, self._transcribed_pair(length)
        piece = pair.piece
        others = sorted(piece.families - {MELODY})
        melody = pair.notes[pair.notes[:, 2] == MELODY]
        if rng.random() < self.augmentation.transcribed_melody and MELODY in piece.families and others and len(melody):
            band = piece.notes[piece.notes[:, 2] != MELODY]
            piece = replace(piece, notes=np.concatenate([melody, band]), chords=pair.chords)
            events = encode(piece, 0, piece.bars, others, [MELODY], chords=rng.random() < self.augmentation.chords)
            return Window(events, np.append(False, events.predicts_next[:-1]))
        most = max(min(12, piece.bars - 4), 1)
        bar = int(rng.integers(min(4, most), most + 1))
        pair = pair.slice_bars(0, bar + _LOSS_BARS)
        piece = (
            pair.with_transcribed_prompt(bar)
            if rng.random() < self.augmentation.chords
            else pair.without_chords.with_transcribed_prompt(bar)
        )
        events = encode(piece, 0, piece.bars, sorted(pair.piece.families))
        return Window(events, np.append(False, events.predicts_next[:-1]))

    def orchestrate(self, piece: Piece) -> Piece:
        """A melody-and-piano piece for a band: its lowest notes to the bass, long ones to strings, drums below."""
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

    def _drums(self, piece: Piece) -> IntArray:
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
