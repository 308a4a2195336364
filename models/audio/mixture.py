"""The sum of several sources as one source."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.core.types import Samples, Source


@dataclass(frozen=True)
class MixturePart:
    """A source that starts at frame `start` of the mixture, with a linear `gain`."""

    source: Source
    start: int = 0
    gain: float = 1.0


@dataclass(frozen=True)
class Mixture:
    """The sum of stereo or mono sources of one rate, read block by block; mono goes to both channels."""

    parts: Sequence[MixturePart]

    @property
    def sample_rate(self) -> int:
        return self.parts[0].source.sample_rate

    @property
    def channels(self) -> int:
        return 2

    @property
    def frames(self) -> int:
        return max(part.start + part.source.frames for part in self.parts)

    def read(self, start: int, stop: int) -> Samples:
        """Frames [start, stop), zero outside. Shape: (2, stop - start)."""
        block = np.zeros((2, stop - start), np.float32)
        for part in self.parts:
            block += np.float32(part.gain) * part.source.read(start - part.start, stop - part.start)
        return block
