"""Sung notes from a pitch track: steady stretches of pitch, cut where the voice stops, re-articulates or moves on."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.analysis.f0 import F0
from models.audio.framing import levels_db, velocity
from models.core.types import Note, Source
from models.core.validation import check_ranges

Doubles = NDArray[np.float64]

_SOUNDING_DB = 40.0


@dataclass(frozen=True)
class VocalNoteSettings:
    """How a pitch track is cut into notes.

    Each frame is one semitone or none: the path that stays near the track, where each change of semitone costs
    `change_cost` (in squared semitones times frames of 10 ms). Notes shorter than `minimum_s` are dropped; gaps up to
    `bridge_s` inside one pitch are bridged unless the level dips by `dip_db` there. Notes that stay `faint_db` below
    the stem's loud moments are what a separator left of other things.
    """

    change_cost: float = 6.0
    minimum_s: float = 0.08
    bridge_s: float = 0.05
    dip_db: float = 6.0
    faint_db: float = 18.0

    def __post_init__(self) -> None:
        check_ranges(self, change_cost=(0, 10_000), minimum_s=(0, 10), bridge_s=(0, 10))
        check_ranges(self, dip_db=(0, 120), faint_db=(0, 120))


def vocal_notes(f0: F0, source: Source, settings: VocalNoteSettings = VocalNoteSettings()) -> tuple[Note, ...]:
    """The notes of one voice, sorted by onset; velocity follows loudness. None where nothing is voiced."""
    hz = np.asarray(f0.hz, np.float64)
    voiced = hz > 0
    if not voiced.any():
        return ()
    semitones = np.where(voiced, 69 + 12 * np.log2(np.maximum(hz, 1e-3) / 440), 0.0)
    level_db = levels_db(source, f0.hop_s, len(hz))
    tuning = _tuning(semitones[voiced])
    labels = np.zeros(len(hz), int)
    for start, stop in _runs(voiced, round(settings.bridge_s / f0.hop_s)):
        filled = np.interp(np.arange(start, stop), np.flatnonzero(voiced), semitones[voiced])
        labels[start:stop] = _steps(filled - tuning, settings.change_cost * 0.01 / f0.hop_s)
    loud_db = float(np.percentile(level_db[voiced], 95))
    loudest_db = float(np.percentile(level_db[level_db > level_db.max() - _SOUNDING_DB], 95))
    notes = []
    for start, stop in _stretches(labels, level_db, f0.hop_s, settings):
        top_db = float(level_db[start:stop].max())
        if (stop - start) * f0.hop_s >= settings.minimum_s and top_db >= loudest_db - settings.faint_db:
            strength = velocity(top_db, loud_db)
            notes.append(Note(start * f0.hop_s, (stop - start) * f0.hop_s, int(labels[start]), strength))
    return tuple(notes)


def _tuning(semitones: Doubles) -> float:
    """How far the singer is from A4 = 440 Hz, in semitones from -0.5 to 0.5: the mean angle of the fractions."""
    return float(np.angle(np.exp(2j * np.pi * semitones).mean()) / (2 * np.pi))


def _runs(voiced: NDArray[np.bool_], bridge: int) -> list[tuple[int, int]]:
    """Voiced stretches [start, stop), joined over gaps of up to `bridge` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    runs: list[tuple[int, int]] = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= bridge:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((start, stop))
    return runs


def _steps(semitones: Doubles, change_cost: float) -> NDArray[np.intp]:
    """The cheapest piecewise constant semitone near a pitch track. Shape: (frames,)."""
    low = int(np.floor(semitones.min())) - 1
    states = np.arange(low, int(np.ceil(semitones.max())) + 2)
    cost = np.minimum((semitones[:, None] - states[None, :]) ** 2, 4.0)
    back = np.zeros(cost.shape, np.intp)
    total = cost[0]
    for i in range(1, len(cost)):
        best = int(total.argmin())
        stay = total <= total[best] + change_cost
        back[i] = np.where(stay, np.arange(len(states)), best)
        total = np.where(stay, total, total[best] + change_cost) + cost[i]
    path = np.zeros(len(cost), np.intp)
    path[-1] = total.argmin()
    for i in range(len(cost) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return np.clip(states[path], 0, 127)


def _stretches(
    labels: NDArray[np.int_], level_db: Doubles, hop_s: float, settings: VocalNoteSettings
) -> list[tuple[int, int]]:
    """Stretches [start, stop) of one pitch, cut where the level dips and comes back (the pitch was sung again)."""
    changes = np.flatnonzero(np.diff(labels)) + 1
    edges = [0, *changes.tolist(), len(labels)]
    reach = max(round(0.08 / hop_s), 1)
    found = []
    for start, stop in pairwise(edges):
        if labels[start] == 0:
            continue
        cut = start
        for i in range(start + reach, stop - reach):
            around = level_db[max(i - reach, start) : i + reach + 1]
            sides = min(float(around[:reach].max()), float(around[-reach:].max()))
            if i - cut >= reach and level_db[i] == around.min() and sides - level_db[i] >= settings.dip_db:
                found.append((cut, i))
                cut = i
        found.append((cut, stop))
    return found
