"""What the key, the song so far and its chords say about pitches, as odds that lean the network's.

A product of experts (Hinton 2002), in the network's own pitch classes, where the key is C major or A minor.
"""

import numpy as np
from numpy.typing import NDArray

from models.generation import tokenizer
from models.generation.chords import chord_tones
from models.generation.tokenizer import DRUMS, Piece

SCALE = (0, 2, 4, 5, 7, 9, 11)
_SCALE_NOTES = 24
"""How many notes spread over the scale the key alone is worth, beside those that were heard."""
_CHORD_ODDS = 6.0
"""How much likelier a tone of the chord is than another at full leaning."""
CLASS_OF = (np.arange(tokenizer.VOCABULARY - tokenizer.NOTE) % tokenizer.PITCHES + tokenizer.LOWEST_PITCH) % 12
"""The pitch class of each pitched note's token, from `tokens.NOTE` on."""


def key_lean(piece: Piece, before: int) -> NDArray[np.float64]:
    """Log odds of each pitch class, from the notes in the bars before `before` and the key's scale. Shape: (12,)."""
    heard = piece.notes[(piece.notes[:, 0] < before) & (piece.notes[:, 2] != DRUMS)]
    counts = np.bincount((heard[:, 3] + piece.shift) % 12, minlength=12).astype(np.float64)
    counts[list(SCALE)] += _SCALE_NOTES / len(SCALE)
    share = (counts + 0.5) / (counts + 0.5).sum()
    return np.asarray(np.log(share * 12))


def chord_leans(piece: Piece, bar: int) -> NDArray[np.float64]:
    """Log odds of each pitch class at each tick of a bar, from the chord sounding there. Shape: (ticks, 12)."""
    leans = np.zeros((int(piece.bar_beats[bar]) * tokenizer.TICKS, 12))
    moment = piece.chords[:, 0] * tokenizer.MOST_TICKS + piece.chords[:, 1]
    first = int(np.searchsorted(moment, bar * tokenizer.MOST_TICKS, side="right")) - 1
    for place in range(max(first, 0), len(piece.chords)):
        at, tick, chord = piece.chords[place].tolist()
        if at > bar:
            break
        since = tick if at == bar else 0
        leans[since:] = 0.0
        leans[since:, [(pitch + piece.shift) % 12 for pitch in chord_tones(chord)]] = np.log(_CHORD_ODDS)
    return leans


def leaned(odds: NDArray[np.float64], lean: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    """The odds of each event with a lean (12,) times `strength` on those of pitched notes. Shape: (vocabulary,).

    Which pitch class is likelier changes; how likely any pitched note is does not.
    """
    notes = odds[tokenizer.NOTE :]
    moved = notes * np.exp(strength * lean[CLASS_OF])
    total = moved.sum()
    return np.concatenate([odds[: tokenizer.NOTE], moved * (notes.sum() / total) if total > 0 else notes])
