"""How loud voice and backing stand in each section of the original, and the gains that put a remix there."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.audio.loudness import SILENCE_LUFS, gated_loudness, lufs
from models.core.types import Grid
from models.symbolic.beat_map import downbeat_indices

FLOOR_LUFS = -60.0
"""What is quieter than this over a section is not there: it has no balance to take."""
LEAST_SUNG_S = 0.5
LEAST_SUNG = 0.2
"""The part of a section (0..1) that must be sung for the backing's level to be taken there alone."""
LEAST_SECTION_S = 2.0
ALONE_LUFS = -20.0
Powers = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """K-weighted powers, one about every 100 ms, of a voice and of its backing, equally long."""

    voice: Powers
    backing: Powers


@dataclass(frozen=True)
class SectionGains:
    """Gains in dB, one a section."""

    voice_db: NDArray[np.float64]
    backing_db: NDArray[np.float64]


def sections_of(grid: Grid, end_s: float, bars: int = 8) -> tuple[float, ...]:
    """Where sections of about `bars` bars start, in seconds: the first at 0, the others on downbeats before `end_s`."""
    downbeats = [grid.beats_s[i] for i in downbeat_indices(grid)]
    last = end_s - 0.5 * bars * grid.metre * 60 / grid.tempo_bpm
    return (0.0, *(t for t in downbeats[bars::bars] if t < last))


def bounds_of(sections_s: Sequence[float], original_s: float, end_s: float) -> list[float]:
    """The bounds of a mix's sections in seconds: 0, the starts 2 s or more from others, the original's end, the end.

    >>> bounds_of((0.3, 12.0, 28.5, 44.0), original_s=30.0, end_s=40.0)
    [0.0, 12.0, 30.0, 40.0]
    """
    bounds = [0.0]
    for start_s in sorted(sections_s):
        if bounds[-1] + LEAST_SECTION_S <= start_s <= original_s - LEAST_SECTION_S:
            bounds.append(start_s)
    if 0 < original_s < end_s - LEAST_SUNG_S:
        bounds.append(original_s)
    return [*bounds, end_s]


def balance(
    original: Pair,
    new: Pair,
    bounds_s: Sequence[float],
    original_s: float,
    step_s: float,
    over_db: float,
    range_db: float,
) -> SectionGains:
    """The gains that give each section of the new mix the original's levels of voice and backing.

    Levels are taken while the original sings; the backing's in all of a section where it hardly does. A section with
    nothing to compare takes its neighbour's gain, one after the original's end (`original_s`) the level of the last
    before it. Where the original lacks voice or backing altogether the voice is put `over_db` above the backing.
    Sections stay within `range_db` of the median. `bounds_s` are the sections' starts and the end of the last, in
    seconds; the powers are `step_s` apart.
    """
    singing = original.voice if original.voice.any() else new.voice
    active = lufs(singing) > max(gated_loudness(singing) - 20, SILENCE_LUFS)
    voice = np.full(len(bounds_s) - 1, np.nan)
    backing = voice.copy()
    last = slice(0, 0)
    for section, (start_s, stop_s) in enumerate(pairwise(bounds_s)):
        here = slice(round(start_s / step_s), round(stop_s / step_s))
        if start_s >= original_s - step_s:
            backing[section] = _difference(gated_loudness(original.backing[last]), gated_loudness(new.backing[here]))
            continue
        last = here
        sung = active[here]
        if sung.sum() * step_s >= LEAST_SUNG_S:
            voice[section] = _difference(_level(original.voice[here][sung]), _level(new.voice[here][sung]))
        if sung.mean() < LEAST_SUNG:
            sung = np.ones_like(sung)
        backing[section] = _difference(_level(original.backing[here][sung]), _level(new.backing[here][sung]))
    return _completed(voice, backing, new, over_db, range_db)


def _level(powers: Powers) -> float:
    return float(lufs(powers.mean())) if len(powers) else SILENCE_LUFS


def _difference(wanted_lufs: float, given_lufs: float) -> float:
    return wanted_lufs - given_lufs if min(wanted_lufs, given_lufs) > FLOOR_LUFS else float("nan")


def _completed(
    voice: NDArray[np.float64], backing: NDArray[np.float64], new: Pair, over_db: float, range_db: float
) -> SectionGains:
    """Gains where nothing could be compared: the neighbours', or one for all that puts the voice over the backing."""
    levels = gated_loudness(new.voice), gated_loudness(new.backing)
    voice_known, backing_known = np.isfinite(voice).any(), np.isfinite(backing).any()
    if not backing_known:
        anchor = levels[0] + float(np.nanmedian(voice)) - over_db if voice_known else ALONE_LUFS
        backing[:] = anchor - levels[1] if levels[1] > SILENCE_LUFS else 0.0
    if not voice_known:
        anchor = levels[1] + float(np.nanmedian(backing)) + over_db if levels[1] > SILENCE_LUFS else ALONE_LUFS
        voice[:] = anchor - levels[0] if levels[0] > SILENCE_LUFS else 0.0
    return SectionGains(_neighbourly(voice, range_db), _neighbourly(backing, range_db))


def _neighbourly(gains: NDArray[np.float64], range_db: float) -> NDArray[np.float64]:
    """Unknown gains from the nearest known one (the earlier of two), and none far from the median."""
    known = np.flatnonzero(np.isfinite(gains))
    index = np.arange(len(gains))
    nearest = known[np.argmin(np.abs(index[:, None] - known[None]), axis=1)]
    median = float(np.median(gains[known]))
    return np.asarray(np.clip(gains[nearest], median - range_db, median + range_db))
