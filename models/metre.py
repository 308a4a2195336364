"""Which pulse is the beat, and which beats begin bars: what drums, bass and chords say of a row of beats."""

import numpy as np
from numpy.typing import NDArray

from models.beats import Tempi, bar_path, decode_beats
from models.harmony import decode_chords, unit
from models.onsets import FPS, Onsets, near

Doubles = NDArray[np.float64]

_STEP, _REACH = 1.36, 1.67
_METRE, _JUMP = 4, 4.0


def pulses(heard: Onsets, slowest_bpm: float, fastest_bpm: float, tempo_cost: float, beat_cost: float) -> list[Doubles]:
    """Rows of beats to choose from, in seconds: the best one in each range of tempi, and those half a beat beside them.

    The ranges overlap and are narrow, so that a slower or faster pulse of the same music has a row of its own.
    """
    activation = heard.band + 0.6 * heard.low
    top = float(np.percentile(activation, 98))
    if top <= 0:
        return []
    activation = np.clip(activation / top, 0, 1)
    rows = []
    low = slowest_bpm
    while low < fastest_bpm / 1.2:
        tempi = Tempi(low, min(low * _REACH, fastest_bpm), tempo_cost, beat_cost)
        beats = decode_beats(activation, FPS, tempi) / FPS
        if len(beats) > 2:
            rows += [beats, (beats[1:] + beats[:-1]) / 2]
        low *= _STEP
    return rows


def pulse_score(heard: Onsets, beats: Doubles, downs: Doubles, likely_bpm: float, prior_weight: float) -> float:
    """How much a row of beats is like the beat that people tap to.

    Attacks come on it and not half a beat beside it, and what comes between divides it by two and four, not by three;
    snare and kick take turns on it; some of its beats (`downs`, from `downbeat_scores`) begin bars; and its tempo is
    near `likely_bpm`. The weights were fitted to rendered songs: each one's true beat against its other pulses.
    """
    halves, thirds = (0.25, 0.5, 0.75), (1 / 3, 2 / 3)
    contrast = sum(
        weight * float(near(strength, beats).mean() - near(strength, (beats[1:] + beats[:-1]) / 2).mean())
        for strength, weight in (
            (heard.band, 1.0),
            (heard.kick, 0.8),
            (heard.snare, 1.1),
            (heard.bass, 0.5),
            (heard.other, 0.5),
        )
    )
    even, odd = _within(heard.band, beats, halves), _within(heard.band, beats, thirds)
    divided = even.mean() - odd.mean() + 0.7 * (_within(heard.hat, beats, (1 / 2, 1 / 3)) @ (1.0, -1.0))
    onto = _within(heard.band, beats, (0.0,))[0] - np.concatenate([even, odd]).mean()
    turns = standard(near(heard.snare, beats) - near(heard.kick, beats)) * (-1.0) ** np.arange(len(beats))
    bars = bar_path(downs, _METRE, _JUMP)[1] / len(beats)
    octaves = np.log2(60 / float(np.median(np.diff(beats))) / likely_bpm)
    alike = contrast + divided + onto + 1.1 * abs(float(turns.mean())) + 0.8 * bars
    return float(alike - prior_weight * octaves**2)


def _within(strength: Doubles, beats: Doubles, places: tuple[float, ...]) -> Doubles:
    """The mean onset within 20 ms of each place in a beat (0 to 1, to the next one). Shape: (places,)."""
    return np.array([near(strength, beats[:-1] + place * np.diff(beats), 0.02).mean() for place in places])


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
