"""A voice in training listened to: it sings clips it was not trained on, and is measured as any voice is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.conversion.content import Encoder
from models.conversion.convert import RevoiceSettings, Voice
from models.conversion.engines.so_vits import SovitsVoice
from models.conversion.engines.so_vits_network import with_weights
from models.conversion.evaluation.voice import Ear, Figures, SungClip, measured, sung_by
from models.conversion.voices.registry import Card
from models.core.types import Wave

Floats = NDArray[np.float32]

MEDIAN_CENTS, WITHIN_50, GROSS = 12.0, 0.92, 0.01
"""What a voice's pitch must reach to be kept rather than another."""
WORST = -10.0
"""The score of what cannot be measured: silence, or no pitch in it at all."""


@dataclass(frozen=True)
class Verdict:
    """The mean figures over the clips, and what was sung of the first."""

    figures: dict[str, float]
    sample: Wave

    @property
    def in_tune(self) -> bool:
        """Whether the pitch is good enough."""
        found = self.figures
        return found["median_cents"] <= MEDIAN_CENTS and found["within_50"] >= WITHIN_50 and found["gross"] <= GROSS

    @property
    def score(self) -> float:
        """Better is higher: likeness and words, half as much naturalness, and what is out of tune below all others."""
        found = self.figures
        natural = (found["naturalness"] - 1) / 4
        good = found["like_target"] + found["phones"] + 0.5 * natural - (0.0 if self.in_tune else 2.0)
        return good if np.isfinite(good) else WORST


@dataclass(frozen=True)
class Examiner:
    """What a voice in training is examined with: its config and card, the encoder, the clips, and the voice wanted.

    It sings on `device`, where the encoder is; the ear listens on the CPU.
    """

    config: dict[str, Any]
    card: Card
    encoder: Encoder
    ear: Ear
    clips: Sequence[SungClip]
    target: Floats
    device: str = "cpu"

    def examine(self, state: Mapping[str, Tensor]) -> Verdict:
        """Measure a generator with these weights."""
        network = with_weights(state, self.config, "in training")
        voice = Voice(self.card, SovitsVoice(network, self.config, self.encoder, self.card, self.device))
        settings = RevoiceSettings()
        sung = [sung_by(voice, clip, settings, self.device) for clip in self.clips]
        found = [
            measured(clip, take, self.target, self.ear, settings) for clip, take in zip(self.clips, sung, strict=True)
        ]
        means = {f.name: float(np.mean([getattr(row, f.name) for row in found])) for f in fields(Figures)}
        return Verdict(means, sung[0].audio)
