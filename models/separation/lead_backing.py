"""Lead and backing vocals apart, only where more than one voice sings.

A splitter trained on few singers may take a stranger who sings alone for the choir. But one voice repeats at one
period, and several together do not (Boersma 1993, see `models.analysis.f0`), so where a single period explains the sound the
network is not believed, and everything stays with the lead.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from models.analysis.f0 import periodicity
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.core.validation import check_order, check_ranges
from models.separation.separate import SplitSettings

_HOP_S = 0.05
_LOUD_DB = 20.0
"""Frames further below the loud ones (95th percentile) say nothing of how many sing."""


@dataclass(frozen=True)
class PartingSettings(SplitSettings):
    """As for a separator, and where the splitter is believed.

    Above `one_voice` of periodicity (0 to 1) a single voice sings and keeps everything, below `several` the splitter is
    believed, linearly between. Periodicity is the mean over `over_s` seconds, weighted by power.
    """

    one_voice: float = 0.85
    several: float = 0.75
    over_s: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, one_voice=(0, 1), several=(0, 1), over_s=(0.1, 60))
        check_order(self, "several", "one_voice")


@dataclass(frozen=True)
class Company:
    """How far it is believed that several sing: 0 (one voice) to 1, each `hop_s` seconds from 0."""

    belief: NDArray[np.float32]
    hop_s: float

    def at(self, frames: NDArray[np.int64], rate: int) -> NDArray[np.float32]:
        """The belief at sample frames, linear between the steps."""
        return np.interp(frames / (self.hop_s * rate), np.arange(len(self.belief)), self.belief).astype(np.float32)


def company(vocals: Source, settings: PartingSettings, watch: Watch = UNWATCHED) -> Company:
    """Where several voices sing together."""
    found = periodicity(vocals, _HOP_S, watch)
    loud = found.power > np.percentile(found.power, 95) * 10 ** (-_LOUD_DB / 10)
    weight = found.power * loud / max(float(found.power.max()), 1e-20)
    width = round(settings.over_s / _HOP_S) | 1
    heard = uniform_filter1d(weight, width, mode="constant")
    mean = uniform_filter1d(weight * found.strength, width, mode="constant") / np.maximum(heard, 1e-9)
    span = max(settings.one_voice - settings.several, 1e-6)
    belief = np.clip((settings.one_voice - mean) / span, 0, 1)
    return Company(np.where(heard > 1e-9, belief, 0).astype(np.float32), _HOP_S)


def kept_together(blocks: Iterable[Samples], believed: Company, rate: int) -> Iterator[Samples]:
    """Blocks of (lead, backing, room), each (3, 2, n): what one voice sings alone goes from backing to lead."""
    start = 0
    for block in blocks:
        stop = start + block.shape[-1]
        backing = block[1] * believed.at(np.arange(start, stop), rate)
        yield np.stack([block[0] + (block[1] - backing), backing, block[2]])
        start = stop
