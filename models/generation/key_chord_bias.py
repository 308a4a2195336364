"""Pitch-class bias: log probability ratios from the key, the song's own pitches and its chords.

A product of experts (Hinton 2002) with the network, in its transposed pitch classes, where the key is C major or A
minor.
"""

import numpy as np

from models.core.dtypes import DoubleArray
from models.generation import tokenizer
from models.generation.chords import chord_tones
from models.generation.tokenizer import DRUMS, Piece

SCALE = (0, 2, 4, 5, 7, 9, 11)
_SCALE_PRIOR_NOTES = 24
"""Weight of the key's scale, in notes spread over it, beside the song's own notes."""
_CHORD_TONE_RATIO = 6.0
"""How much likelier a chord tone is than another pitch at full strength."""
PITCH_CLASS_OF = (np.arange(tokenizer.VOCABULARY - tokenizer.NOTE) % tokenizer.PITCHES + tokenizer.LOWEST_PITCH) % 12
"""The pitch class of each pitched note's token, from `tokenizer.NOTE` on."""


def key_log_bias(piece: Piece, before: int) -> DoubleArray:
    """Log ratio of each pitch class to a uniform one, from the notes in the bars before `before` and the scale.

    Shape: (12,).
    """
    past_notes = piece.notes[(piece.notes[:, 0] < before) & (piece.notes[:, 2] != DRUMS)]
    counts = np.bincount((past_notes[:, 3] + piece.shift) % 12, minlength=12).astype(np.float64)
    counts[list(SCALE)] += _SCALE_PRIOR_NOTES / len(SCALE)
    smoothed = (counts + 0.5) / (counts + 0.5).sum()
    return np.asarray(np.log(smoothed * 12))


def chord_log_bias(piece: Piece, bar: int) -> DoubleArray:
    """Log ratio of each pitch class at each tick of a bar, from the chord sounding there. Shape: (ticks, 12)."""
    log_bias = np.zeros((int(piece.bar_beats[bar]) * tokenizer.TICKS, 12))
    moment = piece.chords[:, 0] * tokenizer.MAX_BAR_TICKS + piece.chords[:, 1]
    first = int(np.searchsorted(moment, bar * tokenizer.MAX_BAR_TICKS, side="right")) - 1
    for place in range(max(first, 0), len(piece.chords)):
        at, tick, chord = piece.chords[place].tolist()
        if at > bar:
            break
        since = tick if at == bar else 0
        log_bias[since:] = 0.0
        log_bias[since:, [(pitch + piece.shift) % 12 for pitch in chord_tones(chord)]] = np.log(_CHORD_TONE_RATIO)
    return log_bias


def apply_pitch_bias(probs: DoubleArray, log_bias: DoubleArray, strength: float) -> DoubleArray:
    """Event probabilities with `log_bias` (12,) times `strength` on pitched notes. Shape: (vocabulary,).

    Which pitch class is likelier changes; the total probability of pitched notes does not.
    """
    notes = probs[tokenizer.NOTE :]
    biased = notes * np.exp(strength * log_bias[PITCH_CLASS_OF])
    total = biased.sum()
    return np.concatenate([probs[: tokenizer.NOTE], biased * (notes.sum() / total) if total > 0 else notes])
