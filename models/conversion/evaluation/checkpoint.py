"""Validation of a voice in training: held-out clips converted with a checkpoint's weights, and their metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from torch import Tensor

from models.conversion.content import Encoder
from models.conversion.convert import Voice
from models.conversion.engines.so_vits import SovitsVoice
from models.conversion.engines.so_vits_network import build_with_weights
from models.conversion.evaluation.voice import EvaluationClip, PhoneClassifier, VoiceMetrics, clip_metrics, convert_clip
from models.conversion.settings import ConvertSettings
from models.conversion.voices.registry import Card
from models.core.dtypes import FloatArray
from models.core.types import Wave

MEDIAN_CENTS, WITHIN_50, GROSS = 12.0, 0.92, 0.01
"""F0 accuracy required of the best checkpoint: median error, share within 50 cents, gross error rate."""
WORST = -10.0
"""The score where metrics are undefined: silence, or no voiced frame."""


@dataclass(frozen=True)
class ValidationResult:
    """Metrics averaged over the clips, and the conversion of the first."""

    metrics: dict[str, float]
    sample: Wave

    @property
    def in_tune(self) -> bool:
        """Whether F0 is accurate enough."""
        m = self.metrics
        return m["median_cents"] <= MEDIAN_CENTS and m["within_50"] >= WITHIN_50 and m["gross"] <= GROSS

    @property
    def score(self) -> float:
        """Higher is better: similarity + phone accuracy + half the naturalness (0..1), minus 2 if out of tune."""
        naturalness = (self.metrics["naturalness"] - 1) / 4
        similarity, phones = self.metrics["like_target"], self.metrics["phones"]
        score = similarity + phones + 0.5 * naturalness - (0.0 if self.in_tune else 2.0)
        return score if np.isfinite(score) else WORST


@dataclass(frozen=True)
class VoiceValidator:
    """Validates checkpoints of a voice: its config and card, the content encoder, the clips, the target's embedding.

    Conversion runs on `device`, where the encoder is; the phone classifier on the CPU.
    """

    config: dict[str, Any]
    card: Card
    encoder: Encoder
    phone_classifier: PhoneClassifier
    clips: Sequence[EvaluationClip]
    target: FloatArray
    device: str = "cpu"

    def validate(self, state: Mapping[str, Tensor]) -> ValidationResult:
        """Metrics of a generator with these weights."""
        network = build_with_weights(state, self.config, "in training")
        voice = Voice(self.card, SovitsVoice(network, self.config, self.encoder, self.card, self.device))
        settings = ConvertSettings()
        converted = [convert_clip(voice, clip, settings, self.device) for clip in self.clips]
        rows = [
            clip_metrics(clip, result, self.target, self.phone_classifier, settings)
            for clip, result in zip(self.clips, converted, strict=True)
        ]
        means = {f.name: float(np.mean([getattr(row, f.name) for row in rows])) for f in fields(VoiceMetrics)}
        return ValidationResult(means, converted[0].audio)
