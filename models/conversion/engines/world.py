"""The WORLD engine: the source's own spectral envelope with formants and F0 shifted; it has no weights.

Morise et al., "WORLD: a vocoder-based high-quality speech synthesis system", 2016, by pyworld. A fallback that imitates
no particular person.
"""

from pathlib import Path

import numpy as np
import pyworld

from models.conversion.voices.registry import Card
from models.core.dtypes import FloatArray

WORLD_RATE = 24_000
_HOP_S = 0.005


class WorldVoice:
    """Formants multiplied by the card's `formants` ratio."""

    def __init__(self, card: Card):
        self.card = card
        self.sample_rate = WORLD_RATE
        self.hop = int(WORLD_RATE * _HOP_S)

    @classmethod
    def load(cls, folder: Path, card: Card, device: str) -> "WorldVoice":
        """The voice of a card; there are no weights, and it runs on the CPU whatever the device."""
        return cls(card)

    def resynthesise(
        self, audio: FloatArray, f0_hz: FloatArray, target_hz: FloatArray, noise_scale: float, seed: int
    ) -> FloatArray:
        """See `VoiceEngine`; deterministic, `noise_scale` and `seed` are not used. Shape: (n,) -> (n,)."""
        wave = audio.astype(np.float64)
        times = (np.arange(len(f0_hz)) + 0.5) * _HOP_S
        f0 = f0_hz.astype(np.float64)
        envelope = pyworld.cheaptrick(wave, f0, times, WORLD_RATE)
        noise = pyworld.d4c(wave, f0, times, WORLD_RATE, fft_size=(envelope.shape[1] - 1) * 2)
        bins = np.arange(envelope.shape[1])
        source = np.minimum(bins / self.card.formants, bins[-1])
        low = np.minimum(source.astype(int), bins[-1] - 1)
        part = source - low
        shifted = np.ascontiguousarray(
            np.exp(np.log(envelope[:, low] + 1e-16) * (1 - part) + np.log(envelope[:, low + 1] + 1e-16) * part)
        )
        sung = pyworld.synthesize(target_hz.astype(np.float64), shifted, noise, WORLD_RATE, _HOP_S * 1000)
        # synthesize puts frame 0 at time 0; these frames are centred half a hop later
        delayed = np.concatenate([np.zeros(self.hop // 2), sung])[: len(audio)]
        return np.pad(delayed, (0, len(audio) - len(delayed))).astype(np.float32)
