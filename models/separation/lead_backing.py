"""Backing vocals suppressed where a single voice sings, by periodicity.

A lead-backing splitter trained on few singers may put an unknown solo singer into the backing vocals. A single voice is
periodic, several voices together are not (Boersma 1993, see `models.analysis.f0`), so where one period explains the
signal the splitter is overruled and everything goes to the lead.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from models.analysis.f0 import periodicity
from models.core.dtypes import FloatArray, IntArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.separation.settings import SplitVocalsSettings

_HOP_S = 0.05
_LOUD_DB = 20.0
"""Frames more than this below the 95th percentile of power are ignored."""


@dataclass(frozen=True)
class MultiVoiceActivity:
    """`probability` that several voices sing: 0 (one voice) to 1, each `hop_s` seconds from 0."""

    probability: FloatArray
    hop_s: float

    def at(self, frames: IntArray, rate: int) -> FloatArray:
        """The probability at sample frames, interpolated linearly."""
        steps = np.arange(len(self.probability))
        return np.interp(frames / (self.hop_s * rate), steps, self.probability).astype(np.float32)


def multi_voice_activity(vocals: Source, settings: SplitVocalsSettings, watch: Watch = UNWATCHED) -> MultiVoiceActivity:
    """Where several voices sing together; 0 in silence."""
    frames = periodicity(vocals, _HOP_S, watch)
    loud = frames.power > np.percentile(frames.power, 95) * 10 ** (-_LOUD_DB / 10)
    weight = frames.power * loud / max(float(frames.power.max()), 1e-20)
    width = round(settings.over_s / _HOP_S) | 1
    total = uniform_filter1d(weight, width, mode="constant")
    mean = uniform_filter1d(weight * frames.strength, width, mode="constant") / np.maximum(total, 1e-9)
    span = max(settings.one_voice - settings.several, 1e-6)
    probability = np.clip((settings.one_voice - mean) / span, 0, 1)
    return MultiVoiceActivity(np.where(total > 1e-9, probability, 0).astype(np.float32), _HOP_S)


def reassign_solo_backing(blocks: Iterable[Samples], activity: MultiVoiceActivity, rate: int) -> Iterator[Samples]:
    """Blocks of (lead, backing, room), each (3, 2, n), with backing vocals of a single voice moved to the lead."""
    start = 0
    for block in blocks:
        stop = start + block.shape[-1]
        backing = block[1] * activity.at(np.arange(start, stop), rate)
        yield np.stack([block[0] + (block[1] - backing), backing, block[2]])
        start = stop
