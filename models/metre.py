"""Which pulse is the beat, and which beats begin bars: what drums, bass and chords say of a row of beats."""

import numpy as np
from numpy.typing import NDArray

from models.beats import Tempi, bar_path, decode_beats
from models.harmony import decode_chords, unit
from models.onsets import FPS, Onsets, near

Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

_STEP, _REACH = 1.36, 1.67
_RELATIONS = {1: (0.5,), 0.5: (0.0,), 2: (0.0, 1.0), 2 / 3: (0.0, 1 / 3), 1.5: (0.0, 0.5, 1.0)}
"""Steps of other counts in beats of a row, and where in the row they begin."""
_METRE, _JUMP = 4, 4.0
_NARROW_S = 0.025
_BARS, _TURNS = 9.2, 0.9
_PATTERN = np.array(
    [
        (1.1, -0.6, 0.3, 0.5, -0.8, 0.5, 0.2),  # all
        (0.3, -1.0, -0.7, 1.6, -0.6, -0.1, 0.5),  # kick
        (1.4, 1.2, 0.1, -0.2, -0.7, 0.5, 0.2),  # snare
        (0.4, 2.0, 0.4, 0.0, -0.6, -0.1, 0.0),  # hi-hat
        (0.9, -2.2, 0.0, 1.1, -1.0, -0.3, 0.6),  # bass
        (2.8, -1.7, 0.6, -2.1, -2.5, 0.6, 1.7),  # other
    ]
)
"""Nats for attacks of full strength, a row a stem.

The columns: on the beat, a quarter, a half and three quarters of it later, at its thirds; on 2 and 4 more than on 1 and
3; on the beat more than half a beat later, wherever the bars begin.
"""


def pulses(heard: Onsets, slowest_bpm: float, fastest_bpm: float, tempo_cost: float, beat_cost: float) -> list[Doubles]:
    """Rows of beats to choose from, in seconds: the best in each range of tempi, and others of the same music.

    The ranges overlap and are narrow. Beside each row are those half a beat off, of half and double its tempo, of two
    beats for its three and of three for two, in each phase.
    """
    activation = heard.band + 0.6 * heard.low
    top = float(np.percentile(activation, 98))
    if top <= 0:
        return []
    activation = np.clip(activation / top, 0, 1)
    best = []
    low = slowest_bpm
    while low < fastest_bpm / 1.2:
        tempi = Tempi(low, min(low * _REACH, fastest_bpm), tempo_cost, beat_cost)
        best.append(decode_beats(activation, FPS, tempi) / FPS)
        low *= _STEP
    best = [beats for beats in best if len(beats) > 2]
    rows: list[Doubles] = []
    for row in [*best, *(other for beats in best for other in _related(beats))]:
        inside = len(row) > 2 and slowest_bpm <= 60 / float(np.median(np.diff(row))) <= fastest_bpm
        if inside and not any(_same(row, kept) for kept in rows):
            rows.append(row)
    return rows or best


def _related(beats: Doubles) -> list[Doubles]:
    """The rows that count the same music in other beats."""
    index = np.arange(len(beats))
    steps = [(step, phase) for step, phases in _RELATIONS.items() for phase in phases]
    return [np.interp(np.arange(phase, len(beats) - 1 + 1e-9, step), index, beats) for step, phase in steps]


def _same(one: Doubles, other: Doubles) -> bool:
    """Whether two rows have one tempo and most beats in common."""
    if abs(np.log2(np.median(np.diff(one)) / np.median(np.diff(other)))) > 0.04:
        return False
    after = np.clip(np.searchsorted(other, one), 1, len(other) - 1)
    apart = np.minimum(np.abs(one - other[after]), np.abs(one - other[after - 1]))
    return bool((apart < 0.04).mean() > 0.8)


def pulse_score(heard: Onsets, beats: Doubles, downs: Doubles, likely_bpm: float, prior_weight: float) -> float:
    """How much a row of beats is like the beat that people tap to, in nats.

    What is struck on it, between its beats and on every other beat has the pattern of songs (`_PATTERN`); snare and
    kick take turns on it; some of its beats (`downs`, from `downbeat_scores`) begin bars; and its tempo is near
    `likely_bpm`, `prior_weight` being the price of a squared octave. The weights were fitted to 106 rendered songs, of
    each the true beat against other pulses.
    """
    path, total = bar_path(downs, _METRE, _JUMP)
    turns = standard(near(heard.snare, beats) - near(heard.kick, beats)) * (-1.0) ** np.arange(len(beats))
    octaves = np.log2(60 / float(np.median(np.diff(beats))) / likely_bpm)
    fit = float((_struck(heard, beats, path) * _PATTERN).sum())
    return float(fit + _TURNS * abs(turns.mean()) + _BARS * total / len(beats) - prior_weight * octaves**2)


def _struck(heard: Onsets, beats: Doubles, path: Index) -> Doubles:
    """How loud attacks are in whole bars, by stem and place in the beat, as the columns of `_PATTERN` have it."""
    starts = np.flatnonzero(path == 0)
    whole = starts[[bool(np.array_equal(path[i : i + _METRE], range(_METRE))) for i in starts]]
    at = whole[whole + _METRE < len(beats)][:, None] + np.arange(_METRE)
    if not len(at):
        return np.zeros(_PATTERN.shape)
    begin, length = beats[at], beats[at + 1] - beats[at]

    def mean(strength: Doubles, places: tuple[float, ...]) -> Doubles:
        """The mean over bars and places, a beat of the bar each."""
        times = [(begin + place * length).ravel() for place in places]
        each = np.mean([near(strength, t, _NARROW_S) for t in times], axis=0)
        return np.asarray(each.reshape(-1, _METRE).mean(axis=0))

    rows = []
    halfway = (beats[1:] + beats[:-1]) / 2
    for strength in (heard.band, heard.kick, heard.snare, heard.hat, heard.bass, heard.other):
        beside = near(strength, beats).mean() - near(strength, halfway).mean()
        on = mean(strength, (0.0,))
        between = [mean(strength, places).mean() for places in ((0.25,), (0.5,), (0.75,), (1 / 3, 2 / 3))]
        rows.append([on.mean(), *between, (on[1] + on[3] - on[0] - on[2]) / 2, beside])
    return np.array(rows)


def downbeat_scores(heard: Onsets, beats: Doubles, chroma: Doubles, bass: Doubles) -> Doubles:
    """How much each beat sounds like the start of a bar, mean 0.

    There the harmony changes, kick, bass and others enter, and the hi-hat does not. `chroma` and `bass` are pitch-class
    energies a beat, shape (beats, 12). Shape: (beats,).
    """
    chords = np.array(decode_chords(chroma, bass))
    changes = np.concatenate([[0.0], chords[1:] != chords[:-1]])
    return np.asarray(
        0.25 * standard(_novelty(chroma, 1))
        + 0.25 * standard(_novelty(chroma, 2))
        + 0.1 * standard(_novelty(bass, 1))
        + 0.1 * standard(_novelty(bass, 2))
        + 0.5 * standard(changes)
        + 0.15 * standard(near(heard.bass, beats))
        + 0.2 * standard(near(heard.other, beats))
        + 0.3 * standard(near(heard.kick, beats))
        - 0.35 * standard(near(heard.hat, beats))
    )


def _novelty(chroma: Doubles, context: int) -> Doubles:
    """One minus the likeness of the `context` beats from each beat on to those before it."""
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
    index = np.arange(len(chroma))
    after = sums[np.minimum(index + context, len(chroma))] - sums[index]
    before = sums[index] - sums[np.maximum(index - context, 0)]
    return np.asarray(1 - (unit(after) * unit(before)).sum(axis=1))


def standard(values: Doubles) -> Doubles:
    """Values with mean 0 and spread 1."""
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))
