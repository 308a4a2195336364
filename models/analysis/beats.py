"""When the beats are, and which of them begin a bar: small decoders over what was heard.

The beats are the best path through times and tempi: Ellis, "Beat tracking by dynamic programming", JNMR 2007, with the
period as a second dimension, so that the tempo may drift and a change of tempo is what costs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

_OFF_COST = 0.03
"""What a beat 10 ms off the tempo costs."""
_PAUSED_S = 0.6
"""How much of a pause costs as much as a beat on nothing."""


@dataclass(frozen=True)
class Tempi:
    """Which tempi a beat may have, in beats a minute, and what a relative change of tempo and a beat cost."""

    slowest_bpm: float
    fastest_bpm: float
    tempo_cost: float
    beat_cost: float


def decode_beats(activation: Doubles, fps: float, tempi: Tempi) -> Index:
    """The frames of the beats in a beat activation (1 for a certain one, below 0 for none) of `fps` frames a second.

    A beat earns its activation less the cost of a beat; from beat to beat the relative change of tempo is paid for, and
    a little for a beat that is a frame early or late. Where nothing beats, it is time that costs and not beats, so that
    slow tempi gain nothing by a pause. The path begins and ends where it likes. Shape: (frames,) -> (beats,).
    """
    periods = np.arange(max(round(60 * fps / tempi.fastest_bpm), 2), round(60 * fps / tempi.slowest_bpm) + 1)
    change = tempi.tempo_cost * np.abs(np.log(periods[None, :] / periods[:, None]))
    beside = np.pad(activation, 1)
    beside = np.maximum(beside[:-2], beside[2:])
    gain = np.maximum(activation, beside - 0.3 * np.abs(beside)) - tempi.beat_cost
    pause = periods / (_PAUSED_S * fps)
    best = np.zeros((len(gain), len(periods)), np.float32)
    lanes, offs = np.full(best.shape, -1, np.int16), np.zeros(best.shape, np.int8)
    for t in range(len(gain)):
        best[t] = gain[t] if gain[t] > 0 else gain[t] * pause
        reached = int(np.searchsorted(periods, t, side="left"))  # the periods p with t - p - 1 >= 0
        if not reached:
            continue
        rows, before = np.arange(reached), t - periods[:reached]
        early, late = best[before - 1] - _OFF_COST, best[before + 1] - _OFF_COST
        total = np.maximum(best[before], np.maximum(early, late)) - change[:reached]
        lanes[t, :reached] = lane = total.argmax(axis=1)
        offs[t, :reached] = np.argmax([best[before, lane], early[rows, lane], late[rows, lane]], axis=0)
        best[t, :reached] += total[rows, lane]
    at, lane = (int(i) for i in np.unravel_index(int(best.argmax()), best.shape))
    beats = [at]
    while lanes[at, lane] >= 0:
        at, lane = at - int(periods[lane]) + (0, -1, 1)[int(offs[at, lane])], int(lanes[at, lane])
        beats.append(at)
    return np.array(beats[::-1], np.intp)


def decode_downbeats(scores: Doubles, metres: tuple[int, ...], jump_cost: float) -> tuple[int, Index]:
    """The metre and the indices of the beats that begin a bar.

    `scores` says of each beat how much it sounds like a downbeat (log-odds). For each metre the best path through
    the positions in a bar is found, where skipping or repeating a position costs `jump_cost`; the metre with the
    highest mean score a beat wins. Shape: (beats,).
    """
    best_metre, best_path, best_total = metres[0], np.zeros(len(scores), np.intp), -np.inf
    for metre in metres:
        path, total = bar_path(scores, metre, jump_cost)
        if total > best_total:
            best_metre, best_path, best_total = metre, path, total
    return best_metre, np.flatnonzero(best_path == 0)


def bar_path(scores: Doubles, metre: int, jump_cost: float) -> tuple[Index, float]:
    """The best position in the bar of every beat, and its total score."""
    gain = np.full((len(scores), metre), 0.0)
    gain[:, 0] = scores
    gain -= gain.mean(axis=1, keepdims=True)
    total = gain[0].copy()
    back = np.zeros(gain.shape, np.intp)
    for i in range(1, len(scores)):
        onward = np.roll(total, 1)
        jump = int(total.argmax())
        back[i] = np.where(onward >= total[jump] - jump_cost, np.roll(np.arange(metre), 1), jump)
        total = np.maximum(onward, total[jump] - jump_cost) + gain[i]
    path = np.zeros(len(scores), np.intp)
    path[-1] = total.argmax()
    for i in range(len(scores) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path, float(total.max())
