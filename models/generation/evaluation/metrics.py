"""What can be counted in notes: whether they keep the key, the groove and the chords, and how much they repeat.

Notes are rows of `Piece.notes`.
"""

import numpy as np

from models.generation.tokenizer import DRUMS, FAMILIES, TICKS, Ints

MELODY = FAMILIES.index("melody")
_SCALE = (0, 2, 4, 5, 7, 9, 11)


def in_key(notes: Ints, shift: int) -> float:
    """The share of pitched notes in the scale of the song's key."""
    pitched = notes[notes[:, 2] != DRUMS]
    return float(np.isin((pitched[:, 3] + shift) % 12, _SCALE).mean()) if len(pitched) else float("nan")


def overlap(one: Ints, other: Ints, size: int) -> float:
    """What two histograms of values below `size` have in common, 0..1."""
    if not len(one) or not len(other):
        return float("nan")
    shares = [np.bincount(values, minlength=size) / len(values) for values in (one, other)]
    return float(np.minimum(*shares).sum())


def groove(notes: Ints, first: int, bars: int, room: int) -> float:
    """How alike the onsets of neighbouring bars are, 1 where all are equal (Wu and Yang 2020)."""
    grid = np.zeros((bars, room), bool)
    inside = notes[(notes[:, 1] < room)]
    grid[inside[:, 0] - first, inside[:, 1]] = True
    return float(1 - (grid[1:] != grid[:-1]).mean())


def repetition(notes: Ints, first: int, bars: int) -> tuple[float, float]:
    """The share of bars from `first` on that take up an earlier one (half its notes alike), and that copy it."""
    content = [frozenset(map(tuple, notes[notes[:, 0] == bar][:, 1:4].tolist())) for bar in range(first + bars)]
    alike, same = [], []
    for bar in range(first, first + bars):
        earlier = [past for past in content[:bar] if past]
        now = content[bar]
        if now and earlier:
            near = max(len(now & past) / len(now | past) for past in earlier)
            alike.append(near >= 0.5)
            same.append(near == 1)
    return (float(np.mean(alike)), float(np.mean(same))) if alike else (float("nan"), float("nan"))


def chord_tone(melody: Ints, band: Ints, beats: Ints) -> float:
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
