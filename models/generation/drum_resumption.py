"""Drums that have stopped take up what they last played: networks and memories can agree on silence for ever.

Odds alone do not bring them back, for where to play next is drawn before who plays there.
"""

import numpy as np
from numpy.typing import NDArray

from models.generation import tokenizer
from models.generation.tokenizer import DRUMS, Piece, note_tokens

PHRASE = 4
"""Bars for which they do so the first time; twice as many each time after."""
_FULL = 0.5
"""What counts as playing: this part of the usual strokes of a bar."""


class Resuming:
    """The strokes that must still come in the bar being written; `begin` starts a bar, `hear` takes each event."""

    def __init__(self) -> None:
        self.phrase, self.bars_left = PHRASE, 0
        self.loop: Piece | None = None
        self.due: list[tuple[int, int]] = []

    def begin(self, piece: Piece, bar: int, have_stopped: bool, usual: float) -> None:
        """Start a bar: where drums have stopped, those of the last full bar are due in it and the next ones."""
        if have_stopped:
            self.phrase, self.bars_left, self.loop = 2 * self.phrase, self.phrase, piece
        self.due = _last_full(self.loop, bar, _FULL * usual) if self.loop and self.bars_left else []
        self.bars_left = max(self.bars_left - 1, 0)

    def restrict(self, legal: NDArray[np.bool_], token: int, tick: int) -> None:
        """Leave in `legal` (vocabulary,) what may follow `token` at `tick` without missing a stroke that is due."""
        if not self.due:
            return
        at, stroke = self.due[0]
        legal[tokenizer.BAR] = False
        if tick == at:
            legal[tokenizer.POS : tokenizer.CHORD] = False
            legal[stroke + 1 :] = False
        else:
            legal[tokenizer.POS + at] = not tokenizer.POS < token < tokenizer.CHORD
            legal[tokenizer.POS + at + 1 : tokenizer.CHORD] = False

    def hear(self, token: int, tick: int) -> None:
        """Learn what has been drawn."""
        if self.due and (tick, token) == self.due[0]:
            self.due.pop(0)


def _last_full(piece: Piece, bar: int, least: float) -> list[tuple[int, int]]:
    """Tick and token of each stroke in the last bar before `bar` that is as long and has `least` strokes or more."""
    drums = piece.notes[(piece.notes[:, 2] == DRUMS) & (piece.notes[:, 0] < bar)]
    bars, strokes = np.unique(drums[:, 0], return_counts=True)
    full = bars[(strokes >= least) & (piece.bar_beats[bars] == piece.bar_beats[bar])]
    if not len(full):
        return []
    last = drums[drums[:, 0] == full[-1]]
    return sorted(set(zip(last[:, 1].tolist(), note_tokens(last, piece.shift).tolist(), strict=True)))
