"""Repetition penalty: pitches repeated too long or too often, bars too full and families too silent are corrected.

The network conditions on its own last bars and the n-gram cache repeats them, so that together they can settle on one
note for good. Thresholds are the 90th percentile of the training songs of each family: below them nothing is changed.
"""

from collections import deque
from collections.abc import Collection, Mapping

import numpy as np

from models.core.dtypes import DoubleArray
from models.generation import tokenizer
from models.generation.tokenizer import DRUMS, FAMILIES, Piece

_TOKENS = {family: np.flatnonzero(family == tokenizer.FAMILY_OF) for family in range(len(FAMILIES))}

_FREE_REPEATS = {"bass": 8, "piano": 4, "guitar": 6, "strings": 4, "melody": 6}
"""So many consecutive onsets of one pitch are not penalised."""
_REPEAT_NATS = 0.8
"""Penalty in nats on a pitch for each consecutive onset beyond those."""
_RECENT_NOTES, _FREE_SHARE, _SHARE_NATS = 24, 0.3, 12.0
"""Of its family's last `_RECENT_NOTES` notes a pitch may be this share; the penalty in nats, times the excess share."""
_NOTES_PER_BAR = {"drums": 14.0, "bass": 5.0, "piano": 7.0, "guitar": 7.0, "strings": 4.0, "melody": 6.0}
"""Expected notes a bar of a family that the prompt does not have."""
_PROMPT_BARS, _DENSITY_UPDATE = 8, 0.25
"""The bars of a prompt over which note density is measured; the weight of the last bar in its running mean."""
_MIN_DENSITY = 0.5
"""Drums and bass are expected to play at least this part of their mean density so far, however sparse the last bars."""
_DENSITY_TOLERANCE, _MAX_FACTOR = 1.5, 8.0
"""Within this ratio of the expected density nothing is changed; bounds of the factor on probabilities beyond it."""
_RHYTHM_PATIENCE_BARS = {"drums": 2, "bass": 2}
_PATIENCE_BARS, _BOOST_PER_BAR, _MAX_BOOST_BARS = 8, 2.0, 10
"""Bars for which `_RHYTHM_PATIENCE_BARS`' families, and the others, may be silent; the factor on their probability for
each silent bar more; the most bars that it grows for."""
_SILENT_SHARE = {"drums": 0.25}
"""A bar with at most this part of a family's expected notes counts as silent."""
_MAX_BAR_RATIO, _MAX_DRUM_RATIO, _MAX_DRUMS_AT_ONCE, _FULL_BAR_FACTOR = 2.5, 1.75, 4, 1e-9
"""A bar is full at so many times a family's expected notes, and of drums at so many; at most so many drums sound at
once (98 % of training onsets have no more). Probabilities beyond are multiplied by the last: nearly zero, as the n-gram
cache would repeat an overfull bar as a whole."""
_PITCH_RANGES = {
    "bass": (28, 38, 60, 8),
    "piano": (28, 62, 96, 11),
    "guitar": (40, 58, 84, 9),
    "strings": (36, 67, 96, 11),
}
"""Lowest, middle and highest sounding pitch of each family and the standard deviation around the middle; a melody has
none."""


class RepetitionPenalty:
    """Running note counts of each family; `add_note` takes each note of the current bar, `end_bar` closes it.

    `expected`: notes a bar for each family.
    """

    def __init__(self, shift: int, expected: Mapping[int, float]) -> None:
        self.tracks = {
            family: _Track(_FREE_REPEATS[name]) for family, name in enumerate(FAMILIES) if name in _FREE_REPEATS
        }
        self.range_weights = _range_weights(shift)
        self.expected = dict(expected)
        self.density = dict(expected)
        self.counts = dict.fromkeys(expected, 0)
        self.silent_bars = dict.fromkeys(expected, 0)
        self.drum_onsets: deque[int] = deque(maxlen=_MAX_DRUMS_AT_ONCE)

    def add_note(self, token: int, time: int) -> None:
        """Count a note of the current bar with onset `time` in ticks; other tokens are ignored."""
        family = int(tokenizer.FAMILY_OF[token])
        if family in self.counts:
            self.counts[family] += 1
        if family == DRUMS:
            self.drum_onsets.append(time)
        self.add_past_note(token, time)

    def add_past_note(self, token: int, time: int) -> None:
        """Count a note of an earlier bar, which does not fill the current one."""
        family = int(tokenizer.FAMILY_OF[token])
        if family in self.tracks:
            self.tracks[family].add_note(token, time)

    def end_bar(self) -> None:
        """Update densities and silent bars at a bar's end."""
        for family, count in self.counts.items():
            self.density[family] += _DENSITY_UPDATE * (count - self.density[family])
            played = count > _SILENT_SHARE.get(FAMILIES[family], 0.0) * self.expected[family]
            self.silent_bars[family] = 0 if played else self.silent_bars[family] + 1
            self.counts[family] = 0

    def has_stopped(self, family: int) -> bool:
        """Whether a family to be written has been silent for longer than its patience."""
        return self.silent_bars.get(family, 0) > _RHYTHM_PATIENCE_BARS.get(FAMILIES[family], _PATIENCE_BARS)

    def penalize(self, probs: DoubleArray, time: int, pending: int = 0) -> DoubleArray:
        """Event probabilities at onset `time`, not normalised, with penalties and density factors applied.

        Of repeated pitches they are lowered; a family below its expected density is raised, and so is the bar's end
        where all together are above it. `pending` drum notes will be in this bar in any case. Shape: (vocabulary,).
        """
        adjusted = probs * self.range_weights
        for track in self.tracks.values():
            for token, nats in track.penalties(time).items():
                adjusted[token] *= np.exp(-nats)
        for family, expected in self.expected.items():
            own = _TOKENS[family]
            total = adjusted[own].sum()
            rescale = probs[own].sum() / total if total > 0 else 0.0
            factor = _density_factor(expected, self.density[family]) * self._silence_boost(family)
            if self.counts[family] >= expected:  # no boost beyond a usual bar
                factor = min(factor, 1.0)
            adjusted[own] = (
                (adjusted[own] * rescale if rescale else probs[own])
                * factor
                * self._fullness_factor(family, time, pending)
            )
        adjusted[tokenizer.BAR] *= _density_factor(sum(self.density.values()), sum(self.expected.values()))
        return adjusted

    def _silence_boost(self, family: int) -> float:
        """The factor on a family that has been silent for longer than its patience; 1 for the others."""
        beyond = self.silent_bars[family] - _RHYTHM_PATIENCE_BARS.get(FAMILIES[family], _PATIENCE_BARS)
        return float(_BOOST_PER_BAR ** np.clip(beyond, 0, _MAX_BOOST_BARS))

    def _fullness_factor(self, family: int, time: int, pending: int) -> float:
        """The factor on one more note of a family: nearly 0 where the bar, or the onset, is full of it, else 1."""
        count, expected = self.counts[family], self.expected[family]
        if family == DRUMS:
            full = count + pending >= _MAX_DRUM_RATIO * expected or self.drum_onsets.count(time) >= _MAX_DRUMS_AT_ONCE
        else:
            full = count >= _MAX_BAR_RATIO * expected
        return _FULL_BAR_FACTOR if full else 1.0


def _density_factor(expected: float, current: float) -> float:
    """The factor that moves density `current` towards `expected`; 1 within a ratio of `_DENSITY_TOLERANCE`."""
    ratio = (expected + 0.1) / (current + 0.1)
    return float(
        np.clip(ratio / np.clip(ratio, 1 / _DENSITY_TOLERANCE, _DENSITY_TOLERANCE), 1 / _MAX_FACTOR, _MAX_FACTOR)
    )


def expected_notes_per_bar(piece: Piece, before: int, write: Collection[int], density: float) -> dict[int, float]:
    """Expected notes a bar for each family of `write`: of the last bars before `before`, else `_NOTES_PER_BAR`."""
    past = piece.notes[piece.notes[:, 0] < before]
    last = past[past[:, 0] >= before - _PROMPT_BARS]
    bars = max(min(before, _PROMPT_BARS), 1)
    notes_per_bar = np.bincount(last[:, 2], minlength=len(FAMILIES)) / bars
    for family in (FAMILIES.index(name) for name in _RHYTHM_PATIENCE_BARS):
        own = past[past[:, 2] == family]
        if notes_per_bar[family]:
            notes_per_bar[family] = max(notes_per_bar[family], _MIN_DENSITY * len(own) / len(np.unique(own[:, 0])))
    defaults = {FAMILIES.index(name): notes for name, notes in _NOTES_PER_BAR.items()}
    return {f: density * float(min(notes_per_bar[f] or defaults[f], 2 * defaults[f])) for f in write}


class _Track:
    """One family's last notes."""

    def __init__(self, free_repeats: int) -> None:
        self.free_repeats = free_repeats
        self.recent: deque[int] = deque(maxlen=_RECENT_NOTES)
        self.time = -1
        self.sounding: set[int] = set()
        self.runs: dict[int, int] = {}

    def add_note(self, token: int, time: int) -> None:
        if time != self.time:
            self.runs = self._run_lengths(time)
            self.time, self.sounding = time, set()
        self.sounding.add(token)
        self.recent.append(token)

    def _run_lengths(self, time: int) -> dict[int, int]:
        """The number of consecutive onsets up to `time` that had each pitch."""
        if time == self.time:
            return self.runs
        return {token: self.runs.get(token, 0) + 1 for token in self.sounding}

    def penalties(self, time: int) -> dict[int, float]:
        """Penalty in nats on each pitch."""
        nats_by_token = {
            token: _REPEAT_NATS * (count - self.free_repeats)
            for token, count in self._run_lengths(time).items()
            if count > self.free_repeats
        }
        for token in set(self.recent):
            over = self.recent.count(token) / _RECENT_NOTES - _FREE_SHARE
            if over > 0:
                nats_by_token[token] = nats_by_token.get(token, 0.0) + _SHARE_NATS * over
        return nats_by_token


def _range_weights(shift: int) -> DoubleArray:
    """A weight of each note token, 0..1, by its family's pitch range, in a piece transposed by `shift`."""
    weights = np.ones(tokenizer.VOCABULARY)
    for family, name in enumerate(FAMILIES):
        if name in _PITCH_RANGES:
            own = _TOKENS[family]
            pitch = (own - tokenizer.NOTE) % tokenizer.PITCHES + tokenizer.LOWEST_PITCH - shift
            lowest, centre, highest, width = _PITCH_RANGES[name]
            weights[own] = np.exp(-0.5 * ((pitch - centre) / width) ** 2) * ((pitch >= lowest) & (pitch <= highest))
    return weights
