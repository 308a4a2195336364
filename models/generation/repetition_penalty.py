"""What keeps a track from sticking to one note: how long and how often it has just played each, as odds against more.

A network that hears its own last bars, and a memory that takes them up again, can agree on one note for ever. Songs do
not: what is left alone here is what ninety in a hundred training songs of that family do.
"""

from collections import deque
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from models.generation import tokenizer
from models.generation.tokenizer import DRUMS, FAMILIES, Piece

_TOKENS = {family: np.flatnonzero(family == tokenizer.FAMILY_OF) for family in range(len(FAMILIES))}

_LEFT_ALONE = {"bass": 8, "piano": 4, "guitar": 6, "strings": 4, "melody": 6}
"""So many onsets in a row with the same pitch are nothing unusual."""
_TIRING = 0.8
"""Nats against a pitch for each onset more."""
_RECENT, _USUAL, _OVERUSED = 24, 0.3, 12.0
"""Of the last notes of a track a pitch may have this share; nats against it for all of them beyond that."""
_NOTES_A_BAR = {"drums": 14.0, "bass": 5.0, "piano": 7.0, "guitar": 7.0, "strings": 4.0, "melody": 6.0}
"""What a family plays in a bar where nothing says otherwise."""
_HEARD_BARS, _BAR_SHARE = 8, 0.25
"""How many bars of a prompt tell how busy it is; how much the last bar counts in how busy it has been lately."""
_THIN = 0.5
"""A rhythm section plays on with at least this part of what it has played in its bars so far, however thin its end."""
_LEEWAY, _HARDEST = 1.5, 8.0
"""Within this factor of the usual nothing is pushed; the most that odds are multiplied or divided by."""
_PATIENCE = {"drums": 2, "bass": 2}
_PATIENT, _CALLED, _LOUDEST = 8, 2.0, 10
"""Bars for which these families, and the others, may be silent; by which factor each bar more they are called back
harder, and how many bars of that there are at most."""
_SCATTERED = {"drums": 0.25}
"""A bar with at most this part of a family's usual notes counts as silent."""
_FULL, _DRUMMED, _LIMBS, _NEVER = 2.5, 1.75, 4, 1e-9
"""So many times the usual notes of a bar fill it, and of drums so many; so many drums are struck at once (98 in 100
moments of what was learned from have no more). The odds of more are multiplied by the last, since what is once too full
is taken up again as a whole."""
_COMPASS = {"bass": (28, 38, 60, 8), "piano": (28, 62, 96, 11), "guitar": (40, 58, 84, 9), "strings": (36, 67, 96, 11)}
"""Lowest, middle and highest sounding pitch of each family and the spread around the middle; a melody lies anywhere."""


class Variety:
    """What each family has just played; a written event at a time through `hear`, bars closed by `bar_over`.

    `usual`: how many notes a bar each family is to play, about.
    """

    def __init__(self, shift: int, usual: Mapping[int, float]) -> None:
        self.tracks = {family: _Track(_LEFT_ALONE[name]) for family, name in enumerate(FAMILIES) if name in _LEFT_ALONE}
        self.fitting = _fitting(shift)
        self.usual = dict(usual)
        self.lately = dict(usual)
        self.counts = dict.fromkeys(usual, 0)
        self.silent = dict.fromkeys(usual, 0)
        self.struck: deque[int] = deque(maxlen=_LIMBS)

    def hear(self, token: int, moment: int) -> None:
        """Learn a note of the bar being written that begins at `moment`, which grows from onset to onset.

        What is no note is ignored.
        """
        family = int(tokenizer.FAMILY_OF[token])
        if family in self.counts:
            self.counts[family] += 1
        if family == DRUMS:
            self.struck.append(moment)
        self.remember(token, moment)

    def remember(self, token: int, moment: int) -> None:
        """Learn a note of an earlier bar, which does not fill this one."""
        family = int(tokenizer.FAMILY_OF[token])
        if family in self.tracks:
            self.tracks[family].hear(token, moment)

    def bar_over(self) -> None:
        """Take the bar that ends here into account."""
        for family, count in self.counts.items():
            self.lately[family] += _BAR_SHARE * (count - self.lately[family])
            played = count > _SCATTERED.get(FAMILIES[family], 0.0) * self.usual[family]
            self.silent[family] = 0 if played else self.silent[family] + 1
            self.counts[family] = 0

    def has_stopped(self, family: int) -> bool:
        """Whether a family that is to play has been silent for longer than bands are."""
        return self.silent.get(family, 0) > _PATIENCE.get(FAMILIES[family], _PATIENT)

    def tempered(self, odds: NDArray[np.float64], moment: int, coming: int = 0) -> NDArray[np.float64]:
        """The odds of each event at `moment`: of each family what there has not been enough of is likelier.

        So is a family that has played less than usual, and a bar's end where all have played more. `coming` strokes of
        drums will be in this bar in any case.
        Shape: (vocabulary,).
        """
        fresh = odds * self.fitting
        for track in self.tracks.values():
            for token, nats in track.enough(moment).items():
                fresh[token] *= np.exp(-nats)
        for family, usual in self.usual.items():
            own = _TOKENS[family]
            total = fresh[own].sum()
            kept = odds[own].sum() / total if total > 0 else 0.0
            push = _push(usual, self.lately[family]) * self._call(family)
            if self.counts[family] >= usual:  # who was silent for long is called back, but not to burst
                push = min(push, 1.0)
            fresh[own] = (fresh[own] * kept if kept else odds[own]) * push * self._room(family, moment, coming)
        fresh[tokenizer.BAR] *= _push(sum(self.lately.values()), sum(self.usual.values()))
        return fresh

    def _call(self, family: int) -> float:
        """By which factor a family that has been silent for longer than bands are is called back; 1 for the others."""
        beyond = self.silent[family] - _PATIENCE.get(FAMILIES[family], _PATIENT)
        return float(_CALLED ** np.clip(beyond, 0, _LOUDEST))

    def _room(self, family: int, moment: int, coming: int) -> float:
        """By which factor one more note of a family is unlikelier for how full of it the bar, or the moment, is."""
        count, usual = self.counts[family], self.usual[family]
        if family == DRUMS:
            full = count + coming >= _DRUMMED * usual or self.struck.count(moment) >= _LIMBS
        else:
            full = count >= _FULL * usual
        return _NEVER if full else 1.0


def _push(wanted: float, is_now: float) -> float:
    """By which factor to make likelier what is not as often as it is wanted; 1 within a factor of `_LEEWAY`."""
    ratio = (wanted + 0.1) / (is_now + 0.1)
    return float(np.clip(ratio / np.clip(ratio, 1 / _LEEWAY, _LEEWAY), 1 / _HARDEST, _HARDEST))


def usual_notes(piece: Piece, before: int, write: Collection[int], density: float) -> dict[int, float]:
    """How many notes a bar each family of `write` is to play: as in the last bars before `before`, else as bands do."""
    past = piece.notes[piece.notes[:, 0] < before]
    last = past[past[:, 0] >= before - _HEARD_BARS]
    bars = max(min(before, _HEARD_BARS), 1)
    heard = np.bincount(last[:, 2], minlength=len(FAMILIES)) / bars
    for family in (FAMILIES.index(name) for name in _PATIENCE):
        own = past[past[:, 2] == family]
        if heard[family]:
            heard[family] = max(heard[family], _THIN * len(own) / len(np.unique(own[:, 0])))
    bands = {FAMILIES.index(name): notes for name, notes in _NOTES_A_BAR.items()}
    return {f: density * float(min(heard[f] or bands[f], 2 * bands[f])) for f in write}


class _Track:
    """One family's last notes."""

    def __init__(self, left_alone: int) -> None:
        self.left_alone = left_alone
        self.recent: deque[int] = deque(maxlen=_RECENT)
        self.moment = -1
        self.sounding: set[int] = set()
        self.in_a_row: dict[int, int] = {}

    def hear(self, token: int, moment: int) -> None:
        if moment != self.moment:
            self.in_a_row = self._before(moment)
            self.moment, self.sounding = moment, set()
        self.sounding.add(token)
        self.recent.append(token)

    def _before(self, moment: int) -> dict[int, int]:
        """How many onsets in a row up to `moment` had each pitch."""
        if moment == self.moment:
            return self.in_a_row
        return {token: self.in_a_row.get(token, 0) + 1 for token in self.sounding}

    def enough(self, moment: int) -> dict[int, float]:
        """Nats against each pitch that there has been enough of."""
        against = {
            token: _TIRING * (count - self.left_alone)
            for token, count in self._before(moment).items()
            if count > self.left_alone
        }
        for token in set(self.recent):
            over = self.recent.count(token) / _RECENT - _USUAL
            if over > 0:
                against[token] = against.get(token, 0.0) + _OVERUSED * over
        return against


def _fitting(shift: int) -> NDArray[np.float64]:
    """How well each note lies for its family's instruments, 0 (not at all) to 1, in a piece moved by `shift`."""
    fits = np.ones(tokenizer.VOCABULARY)
    for family, name in enumerate(FAMILIES):
        if name in _COMPASS:
            own = _TOKENS[family]
            pitch = (own - tokenizer.NOTE) % tokenizer.PITCHES + tokenizer.LOWEST_PITCH - shift
            lowest, centre, highest, width = _COMPASS[name]
            fits[own] = np.exp(-0.5 * ((pitch - centre) / width) ** 2) * ((pitch >= lowest) & (pitch <= highest))
    return fits
