"""When the beats are, and which of them begin a bar: two small decoders over what was heard.

The beats are the likeliest path through tempi and positions in a beat, after Krebs, Böck and Widmer, "An efficient
state-space model for joint tempo and meter tracking", ISMIR 2015, written as one maximum a frame over the beat before.
"""

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def decode_beats(
    activation: Doubles,
    fps: float,
    slowest_bpm: float,
    fastest_bpm: float,
    likely_bpm: float,
    tempo_cost: float,
    prior_weight: float,
) -> NDArray[np.intp]:
    """The frames of the beats in a beat activation (0..1 a frame) of `fps` frames a second.

    `tempo_cost` times the relative change of tempo from beat to beat is paid at each beat, `prior_weight` times the
    squared distance from `likely_bpm` in octaves too. Shape: (frames,) -> (beats,).
    """
    periods = np.arange(max(round(60 * fps / fastest_bpm), 2), round(60 * fps / slowest_bpm) + 1)
    zone = np.maximum(np.round(periods / 16).astype(int), 1)
    act = np.clip(activation, 1e-3, 1 - 1e-3)
    on, off = _sums(np.log(act)), _sums(np.log((1 - act) / 15))
    change = -tempo_cost * np.abs(periods[None, :] / periods[:, None] - 1)
    prior = -prior_weight * np.log2(60 * fps / periods / likely_bpm) ** 2
    frames, longest = len(act), int(periods[-1])
    best = np.full((frames + longest, len(periods)), -np.inf)
    came = np.zeros((frames + longest, len(periods)), np.int16)
    best[:longest] = 0.0
    columns = np.arange(len(periods))
    for t in range(longest, frames + longest):
        start = t - periods
        begin, middle, end = np.maximum(start - longest, 0), np.maximum(start + zone - longest, 0), t - longest
        ended = best[start, columns] + on[middle] - on[begin] + off[end] - off[middle] + prior
        through = ended[:, None] + change
        came[t] = through.argmax(axis=0)
        best[t] = through[came[t], columns]
    return _beats_back(best, came, periods, frames, longest)


def _sums(x: Doubles) -> Doubles:
    return np.concatenate([[0.0], np.cumsum(x)])


def _beats_back(
    best: Doubles, came: NDArray[np.int16], periods: NDArray[np.intp], frames: int, longest: int
) -> NDArray[np.intp]:
    """Follow the best path back from the last beat period of the audio."""
    tail = best[frames:]
    t, column = np.unravel_index(int(np.argmax(tail)), tail.shape)
    at, lane = int(t) + frames, int(column)
    beats = []
    while at >= longest:
        beats.append(at - longest)
        lane = int(came[at, lane])
        at -= int(periods[lane])
    return np.array(beats[::-1], np.intp)


def decode_downbeats(scores: Doubles, metres: tuple[int, ...], jump_cost: float) -> tuple[int, NDArray[np.intp]]:
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


def _bar_path(scores: Doubles, metre: int, jump_cost: float) -> tuple[NDArray[np.intp], float]:
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
