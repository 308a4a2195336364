"""Metrics of notes: key, groove, chord tones and repetition. Notes are rows of `Piece.notes`."""

import numpy as np

from models.core.dtypes import IntArray
from models.generation.tokenizer import DRUMS, FAMILIES, TICKS

MELODY = FAMILIES.index("melody")
_SCALE = (0, 2, 4, 5, 7, 9, 11)


def in_key(notes: IntArray, shift: int) -> float:
    """The share of pitched notes in the scale of the song's key."""
    pitched = notes[notes[:, 2] != DRUMS]
    return float(np.isin((pitched[:, 3] + shift) % 12, _SCALE).mean()) if len(pitched) else float("nan")


def histogram_overlap(one: IntArray, other: IntArray, size: int) -> float:
    """Intersection of two normalised histograms of values below `size`, 0..1."""
    if not len(one) or not len(other):
        return float("nan")
    shares = [np.bincount(values, minlength=size) / len(values) for values in (one, other)]
    return float(np.minimum(*shares).sum())


def groove(notes: IntArray, first: int, bars: int, bar_ticks: int) -> float:
    """Groove similarity: agreement of the onset positions of neighbouring bars, 1 where equal (Wu and Yang 2020)."""
    grid = np.zeros((bars, bar_ticks), bool)
    inside = notes[(notes[:, 1] < bar_ticks)]
    grid[inside[:, 0] - first, inside[:, 1]] = True
    return float(1 - (grid[1:] != grid[:-1]).mean())


def repetition(notes: IntArray, first: int, bars: int) -> tuple[float, float]:
    """The share of bars from `first` on that resemble an earlier one (half their notes), and that equal one."""
    content = [frozenset(map(tuple, notes[notes[:, 0] == bar][:, 1:4].tolist())) for bar in range(first + bars)]
    similar, identical = [], []
    for bar in range(first, first + bars):
        earlier = [past for past in content[:bar] if past]
        now = content[bar]
        if now and earlier:
            similarity = max(len(now & past) / len(now | past) for past in earlier)
            similar.append(similarity >= 0.5)
            identical.append(similarity == 1)
    return (float(np.mean(similar)), float(np.mean(identical))) if similar else (float("nan"), float("nan"))


def chord_tone(melody: IntArray, band: IntArray, beats: IntArray) -> float:
    """The share of melody notes whose pitch class sounds in the band during their first beat."""
    starts = np.concatenate([[0], np.cumsum(beats)]) * TICKS
    played = band[(band[:, 2] != DRUMS) & (band[:, 2] != MELODY)]
    if not len(played) or not len(melody):
        return float("nan")
    onset = starts[played[:, 0]] + played[:, 1]
    hits = []
    for bar, tick, _, pitch, _ in melody.tolist():
        now = starts[bar] + tick
        sounding = (onset < now + TICKS) & (onset + played[:, 4] > now)
        if sounding.any():
            hits.append(pitch % 12 in set((played[sounding, 3] % 12).tolist()))
    return float(np.mean(hits)) if hits else float("nan")
