"""Drums that have stopped repeat their last full bar: network and n-gram cache can both settle on silence for good.

Raising the drums' probability alone does not bring them back: the next tick (POS) is drawn before the family.
"""

import numpy as np

from models.core.dtypes import BoolArray
from models.generation import tokenizer
from models.generation.tokenizer import DRUMS, Piece, note_tokens

PHRASE_BARS = 4
"""Bars for which they are forced the first time; twice as many each time after."""
_FULL_BAR_SHARE = 0.5
"""A bar is full from this part of the expected drum notes of a bar."""


class DrumResumption:
    """The drum notes still to come in the bar being sampled; `start_bar` begins a bar, `update` takes each event."""

    def __init__(self) -> None:
        self.phrase_bars, self.bars_left = PHRASE_BARS, 0
        self.source: Piece | None = None
        self.pending: list[tuple[int, int]] = []

    def start_bar(self, piece: Piece, bar: int, have_stopped: bool, expected: float) -> None:
        """Begin a bar: where drums have stopped, those of the last full bar are pending in it and in the next ones."""
        if have_stopped:
            self.phrase_bars, self.bars_left, self.source = 2 * self.phrase_bars, self.phrase_bars, piece
        self.pending = (
            _last_full_bar(self.source, bar, _FULL_BAR_SHARE * expected) if self.source and self.bars_left else []
        )
        self.bars_left = max(self.bars_left - 1, 0)

    def mask_tokens(self, legal: BoolArray, token: int, tick: int) -> None:
        """Mask in `legal` (vocabulary,) what may not follow `token` at `tick` without skipping a pending note."""
        if not self.pending:
            return
        pending_tick, drum = self.pending[0]
        legal[tokenizer.BAR] = False
        if tick == pending_tick:
            legal[tokenizer.POS : tokenizer.CHORD] = False
            legal[drum + 1 :] = False
        else:
            legal[tokenizer.POS + pending_tick] = not tokenizer.POS < token < tokenizer.CHORD
            legal[tokenizer.POS + pending_tick + 1 : tokenizer.CHORD] = False

    def update(self, token: int, tick: int) -> None:
        """Take an event that was drawn."""
        if self.pending and (tick, token) == self.pending[0]:
            self.pending.pop(0)


def _last_full_bar(piece: Piece, bar: int, least: float) -> list[tuple[int, int]]:
    """Tick and token of each drum note in the last bar before `bar` of its length with at least `least` of them."""
    drums = piece.notes[(piece.notes[:, 2] == DRUMS) & (piece.notes[:, 0] < bar)]
    bars, counts = np.unique(drums[:, 0], return_counts=True)
    full = bars[(counts >= least) & (piece.bar_beats[bars] == piece.bar_beats[bar])]
    if not len(full):
        return []
    last = drums[drums[:, 0] == full[-1]]
    return sorted(set(zip(last[:, 1].tolist(), note_tokens(last, piece.shift).tolist(), strict=True)))
