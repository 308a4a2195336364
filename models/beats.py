"""When the beats are, and which of them begin a bar: two small decoders over what was heard.

The beats are the best path through times and tempi: Ellis, "Beat tracking by dynamic programming", JNMR 2007, with the
period as a second dimension, so that the tempo may drift and a change of tempo is what costs.
"""

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Index = NDArray[np.intp]


def decode_beats(
    activation: Doubles,
    fps: float,
    slowest_bpm: float,
    fastest_bpm: float,
    likely_bpm: float,
    tempo_cost: float,
    prior_weight: float,
    beat_cost: float,
) -> Index:
    """The frames of the beats in a beat activation (0..1 a frame) of `fps` frames a second.

    A beat earns its activation less `beat_cost`; from beat to beat `tempo_cost` times the relative change of tempo is
    paid, and `prior_weight` times the squared distance from `likely_bpm` in octaves. Shape: (frames,) -> (beats,).
    """
    periods = np.arange(max(round(60 * fps / fastest_bpm), 2), round(60 * fps / slowest_bpm) + 1)
    change = tempo_cost * np.abs(np.log(periods[None, :] / periods[:, None]))
    prior = prior_weight * np.log2(60 * fps / periods / likely_bpm) ** 2
    near = np.pad(activation, 1)
    gain = np.maximum(activation, 0.7 * np.maximum(near[:-2], near[2:])) - beat_cost
    best = np.zeros((len(gain), len(periods)))
    came = np.full(best.shape, -1, np.int16)
    rows = np.arange(len(periods))
    for t in range(len(gain)):
        before = t - periods
        best[t] = gain[t] - prior
        lanes = rows[before >= 0]
        if len(lanes):
            through = best[before[lanes]] - change[lanes]
            came[t, lanes] = through.argmax(axis=1)
            best[t, lanes] += through[lanes, came[t, lanes]]
    last = np.arange(len(gain))[:, None] + periods[None, :] >= len(gain)
    at, lane = np.unravel_index(int(np.where(last, best, -np.inf).argmax()), best.shape)
    return _back(came, periods, int(at), int(lane))


def _back(came: NDArray[np.int16], periods: Index, at: int, lane: int) -> Index:
    """The frames of the path that ends at a frame with a period."""
    beats = [at]
    while came[at, lane] >= 0:
        at, lane = at - int(periods[lane]), int(came[at, lane])
        beats.append(at)
    return np.array(beats[::-1], np.intp)


def decode_downbeats(scores: Doubles, metres: tuple[int, ...], jump_cost: float) -> tuple[int, Index]:
    """The metre and the indices of the beats that begin a bar.

    `scores` says of each beat how much it sounds like a downbeat (mean about 0). For each metre the best path through
    the positions in a bar is found, where skipping or repeating a position costs `jump_cost`; the metre with the
    highest mean score a beat wins. Shape: (beats,).
    """
    best_metre, best_path, best_total = metres[0], np.zeros(len(scores), np.intp), -np.inf
    for metre in metres:
        path, total = _bar_path(scores, metre, jump_cost)
        if total > best_total:
            best_metre, best_path, best_total = metre, path, total
    return best_metre, np.flatnonzero(best_path == 0)


def _bar_path(scores: Doubles, metre: int, jump_cost: float) -> tuple[Index, float]:
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
