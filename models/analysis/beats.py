"""Decoding beats and downbeats from activations, by dynamic programming.

Beats are the best path through times and tempi: Ellis, "Beat tracking by dynamic programming", JNMR 2007, with the
period as a second dimension, so that the tempo may drift and a change of tempo has a cost.
"""

from dataclasses import dataclass

import numpy as np

from models.core.dtypes import DoubleArray, IndexArray

_OFF_COST = 0.03
"""Penalty on a beat 10 ms off the tempo."""
_PAUSED_S = 0.6
"""So much of a pause has the penalty of a beat without activation."""


@dataclass(frozen=True)
class TempoModel:
    """The range of tempi in beats a minute, and the penalties on a relative change of tempo and on a beat."""

    slowest_bpm: float
    fastest_bpm: float
    tempo_cost: float
    beat_cost: float


def decode_beats(activation: DoubleArray, fps: float, tempo: TempoModel) -> IndexArray:
    """The frames of the beats in a beat activation (1 at a clear beat, below 0 away from one) of `fps` frames a second.

    A beat gains its activation less `beat_cost`; from beat to beat the relative change of tempo is penalised, and a
    little a beat that is a frame early or late. Without activation the penalty is per time and not per beat, so that
    slow tempi gain nothing by a pause. The path may begin and end anywhere. Shape: (frames,) -> (beats,).
    """
    periods = np.arange(max(round(60 * fps / tempo.fastest_bpm), 2), round(60 * fps / tempo.slowest_bpm) + 1)
    change = tempo.tempo_cost * np.abs(np.log(periods[None, :] / periods[:, None]))
    neighbours = np.pad(activation, 1)
    neighbours = np.maximum(neighbours[:-2], neighbours[2:])
    gain = np.maximum(activation, neighbours - 0.3 * np.abs(neighbours)) - tempo.beat_cost
    pause = periods / (_PAUSED_S * fps)
    best = np.zeros((len(gain), len(periods)), np.float32)
    period_indices, shifts = np.full(best.shape, -1, np.int16), np.zeros(best.shape, np.int8)
    for t in range(len(gain)):
        best[t] = gain[t] if gain[t] > 0 else gain[t] * pause
        reachable = int(np.searchsorted(periods, t, side="left"))  # the periods p with t - p - 1 >= 0
        if not reachable:
            continue
        rows, before = np.arange(reachable), t - periods[:reachable]
        early, late = best[before - 1] - _OFF_COST, best[before + 1] - _OFF_COST
        total = np.maximum(best[before], np.maximum(early, late)) - change[:reachable]
        period_indices[t, :reachable] = period = total.argmax(axis=1)
        shifts[t, :reachable] = np.argmax([best[before, period], early[rows, period], late[rows, period]], axis=0)
        best[t, :reachable] += total[rows, period]
    at, period = (int(i) for i in np.unravel_index(int(best.argmax()), best.shape))
    beats = [at]
    while period_indices[at, period] >= 0:
        at, period = at - int(periods[period]) + (0, -1, 1)[int(shifts[at, period])], int(period_indices[at, period])
        beats.append(at)
    return np.array(beats[::-1], np.intp)


def decode_downbeats(scores: DoubleArray, metres: tuple[int, ...], jump_cost: float) -> tuple[int, IndexArray]:
    """The metre and the indices of the beats that begin a bar.

    `scores` (beats,) are downbeat log-odds. For each metre the best path through the positions in a bar is decoded,
    where skipping or repeating a position costs `jump_cost`; the metre with the highest total wins.
    """
    best_metre, best_path, best_total = metres[0], np.zeros(len(scores), np.intp), -np.inf
    for metre in metres:
        path, total = bar_path(scores, metre, jump_cost)
        if total > best_total:
            best_metre, best_path, best_total = metre, path, total
    return best_metre, np.flatnonzero(best_path == 0)


def bar_path(scores: DoubleArray, metre: int, jump_cost: float) -> tuple[IndexArray, float]:
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
