"""Voice and backing levels of each section of the original, and the gains that give a remix the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.audio.loudness import SILENCE_LUFS, gated_loudness, lufs
from models.core.dtypes import DoubleArray
from models.core.types import Grid
from models.symbolic.beat_map import downbeat_indices

FLOOR_LUFS = -60.0
"""A bus quieter than this over a section counts as absent there."""
MIN_SINGING_S = 0.5
MIN_SINGING_SHARE = 0.2
"""The share of a section (0..1) that must have singing for the backing's level to be measured there alone."""
MIN_SECTION_S = 2.0
DEFAULT_LUFS = -20.0


@dataclass(frozen=True)
class BusPowers:
    """K-weighted powers, one about every 100 ms, of voice and backing, equally long."""

    voice: DoubleArray
    backing: DoubleArray


@dataclass(frozen=True)
class SectionGains:
    """Gains in dB, one a section."""

    voice_db: DoubleArray
    backing_db: DoubleArray


def section_starts(grid: Grid, end_s: float, bars: int = 8) -> tuple[float, ...]:
    """Starts of sections of about `bars` bars, in seconds: the first at 0, the others on downbeats before `end_s`."""
    downbeats = [grid.beats_s[i] for i in downbeat_indices(grid)]
    last = end_s - 0.5 * bars * grid.metre * 60 / grid.tempo_bpm
    return (0.0, *(t for t in downbeats[bars::bars] if t < last))


def section_bounds(sections_s: Sequence[float], original_s: float, end_s: float) -> list[float]:
    """The bounds of a mix's sections in seconds: 0, the starts 2 s or more from others, the original's end, the end."""
    bounds = [0.0]
    for start_s in sorted(sections_s):
        if bounds[-1] + MIN_SECTION_S <= start_s <= original_s - MIN_SECTION_S:
            bounds.append(start_s)
    if 0 < original_s < end_s - MIN_SINGING_S:
        bounds.append(original_s)
    return [*bounds, end_s]


def balance_sections(
    original: BusPowers,
    new: BusPowers,
    bounds_s: Sequence[float],
    original_s: float,
    step_s: float,
    over_db: float,
    range_db: float,
) -> SectionGains:
    """The gains that give each section of the new mix the original's levels of voice and backing.

    Levels are measured while the original sings; the backing's in all of a section with hardly any singing. A section
    with nothing to compare takes its neighbour's gain, one after the original's end (`original_s`) the level of the
    last before it. Where the original lacks voice or backing altogether the voice is put `over_db` above the backing.
    Sections stay within `range_db` of the median. `bounds_s` are the sections' starts and the end of the last, in
    seconds; the powers are `step_s` apart.
    """
    reference_voice = original.voice if original.voice.any() else new.voice
    active = lufs(reference_voice) > max(gated_loudness(reference_voice) - 20, SILENCE_LUFS)
    voice = np.full(len(bounds_s) - 1, np.nan)
    backing = voice.copy()
    last = slice(0, 0)
    for section, (start_s, stop_s) in enumerate(pairwise(bounds_s)):
        steps = slice(round(start_s / step_s), round(stop_s / step_s))
        if start_s >= original_s - step_s:
            backing[section] = _difference(gated_loudness(original.backing[last]), gated_loudness(new.backing[steps]))
            continue
        last = steps
        singing = active[steps]
        if singing.sum() * step_s >= MIN_SINGING_S:
            voice[section] = _difference(_level(original.voice[steps][singing]), _level(new.voice[steps][singing]))
        if singing.mean() < MIN_SINGING_SHARE:
            singing = np.ones_like(singing)
        backing[section] = _difference(_level(original.backing[steps][singing]), _level(new.backing[steps][singing]))
    return _fill_missing(voice, backing, new, over_db, range_db)


def _level(powers: DoubleArray) -> float:
    return float(lufs(powers.mean())) if len(powers) else SILENCE_LUFS


def _difference(target_lufs: float, current_lufs: float) -> float:
    return target_lufs - current_lufs if min(target_lufs, current_lufs) > FLOOR_LUFS else float("nan")


def _fill_missing(
    voice: DoubleArray, backing: DoubleArray, new: BusPowers, over_db: float, range_db: float
) -> SectionGains:
    """Missing gains: the neighbours', or one for all sections that puts the voice over the backing."""
    levels = gated_loudness(new.voice), gated_loudness(new.backing)
    voice_known, backing_known = np.isfinite(voice).any(), np.isfinite(backing).any()
    if not backing_known:
        anchor = levels[0] + float(np.nanmedian(voice)) - over_db if voice_known else DEFAULT_LUFS
        backing[:] = anchor - levels[1] if levels[1] > SILENCE_LUFS else 0.0
    if not voice_known:
        anchor = levels[1] + float(np.nanmedian(backing)) + over_db if levels[1] > SILENCE_LUFS else DEFAULT_LUFS
        voice[:] = anchor - levels[0] if levels[0] > SILENCE_LUFS else 0.0
    return SectionGains(_fill_from_nearest(voice, range_db), _fill_from_nearest(backing, range_db))


def _fill_from_nearest(gains: DoubleArray, range_db: float) -> DoubleArray:
    """Missing gains from the nearest section (the earlier of two), all within `range_db` of the median."""
    known = np.flatnonzero(np.isfinite(gains))
    index = np.arange(len(gains))
    nearest = known[np.argmin(np.abs(index[:, None] - known[None]), axis=1)]
    median = float(np.median(gains[known]))
    return np.asarray(np.clip(gains[nearest], median - range_db, median + range_db))
