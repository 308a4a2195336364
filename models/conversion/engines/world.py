"""The voice that needs no weights: the singer's own, its formants and pitch moved by WORLD.

Morise et al., "WORLD: a vocoder-based high-quality speech synthesis system", 2016, by pyworld. It is a named fallback:
the same throat of another size, nobody in particular.
"""

from pathlib import Path

import numpy as np
import pyworld
from numpy.typing import NDArray

from models.conversion.voices.registry import Card

WORLD_RATE = 24_000
_HOP_S = 0.005


class WorldVoice:
    """Formants multiplied by the card's ratio."""

    def __init__(self, card: Card):
        self.card = card
        self.sample_rate = WORLD_RATE
        self.hop = int(WORLD_RATE * _HOP_S)

    @classmethod
    def load(cls, folder: Path, card: Card, device: str) -> "WorldVoice":
        """The voice of a card; there are no weights, and it computes on the CPU whatever the device."""
        return cls(card)

    def sing(
        self,
        audio: NDArray[np.float32],
        f0_hz: NDArray[np.float32],
        sung_hz: NDArray[np.float32],
        noise_scale: float,
        seed: int,
    ) -> NDArray[np.float32]:
        """A `Singer`'s: resynthesise mono audio; nothing in it is random. Shape: (n,) -> (n,)."""
        wave = audio.astype(np.float64)
        times = (np.arange(len(f0_hz)) + 0.5) * _HOP_S
        now = f0_hz.astype(np.float64)
        envelope = pyworld.cheaptrick(wave, now, times, WORLD_RATE)
        noise = pyworld.d4c(wave, now, times, WORLD_RATE, fft_size=(envelope.shape[1] - 1) * 2)
        bins = np.arange(envelope.shape[1])
        source = np.minimum(bins / self.card.formants, bins[-1])
        low = np.minimum(source.astype(int), bins[-1] - 1)
        part = source - low
        moved = np.ascontiguousarray(
            np.exp(np.log(envelope[:, low] + 1e-16) * (1 - part) + np.log(envelope[:, low + 1] + 1e-16) * part)
        )
        sung = pyworld.synthesize(sung_hz.astype(np.float64), moved, noise, WORLD_RATE, _HOP_S * 1000)
        # synthesize puts frame 0 at time 0, and these frames are half a hop late
        late = np.concatenate([np.zeros(self.hop // 2), sung])[: len(audio)]
        return np.pad(late, (0, len(audio) - len(late))).astype(np.float32)
