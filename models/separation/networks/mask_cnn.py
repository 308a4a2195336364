"""MaskCnn, a baseline: a CNN on magnitude blocks that predicts a binary vocal mask."""

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

BINS, BLOCK = 1025, 100
"""STFT bins and frames of the network's input."""
WINDOW, HOP = 2048, 1024
"""STFT window and hop in frames."""


class MaskCnn(nn.Module):
    """Separates vocals by a binary mask. Shape: (B, 2, frames) -> (B, 2 sources, 2, frames).

    The mask is predicted from the mono mix and applied to its complex spectrum; both channels get the same vocals, and
    `other` is the mixture minus vocals. A block's mask is that of its middle frame and is repeated for `hold` frames,
    since a mask a frame would take several times the song's length on a CPU.
    """

    def __init__(self, samplerate: int = 44100, segment: float | Fraction = 20.0, hold: int = 5) -> None:
        super().__init__()
        self.sources = ["other", "vocals"]
        self.samplerate = samplerate
        self.audio_channels = 2
        self.segment = segment
        self.hold = hold
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.LeakyReLU()),
            *(nn.Conv2d(32, 16, 3, padding=1), nn.LeakyReLU(), nn.MaxPool2d(3), nn.Dropout(0.25)),
            *(nn.Conv2d(16, 64, 3, padding=1), nn.LeakyReLU()),
            *(nn.Conv2d(64, 16, 3, padding=1), nn.LeakyReLU(), nn.MaxPool2d(3), nn.Dropout(0.25)),
            *(nn.Flatten(), nn.Linear(16 * (BINS // 9) * (BLOCK // 9), 256), nn.LeakyReLU(), nn.Dropout(0.5)),
            nn.Linear(256, BINS),
        )
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, mix: Tensor) -> Tensor:
        mono = mix.mean(dim=1)
        spectrum = self.stft(mono)  # (B, bins, T) complex
        voice = torch.istft(
            spectrum * self.mask(spectrum.abs()), WINDOW, HOP, window=self.window, length=mix.shape[-1], center=True
        )
        vocals = voice[:, None].expand_as(mix)
        return torch.stack([mix - vocals, vocals], dim=1)

    def stft(self, mono: Tensor) -> Tensor:
        """The complex spectrum. Shape: (B, frames) -> (B, 1025, T)."""
        padded = functional.pad(mono, (0, -mono.shape[-1] % HOP))
        return torch.stft(padded, WINDOW, HOP, window=self.window, return_complex=True, pad_mode="constant")

    def mask(self, magnitudes: Tensor) -> Tensor:
        """1 where vocals are louder than the accompaniment, else 0. Shape: (B, bins, T) -> (B, bins, T)."""
        batch, _, frames = magnitudes.shape
        masks = []
        for first in range(0, frames, self.hold):
            voice = self.logits(block(magnitudes, first + self.hold // 2)) > 0
            masks.append(voice[:, :, None].expand(batch, BINS, min(self.hold, frames - first)))
        return torch.cat(masks, dim=2).to(magnitudes.dtype)

    def logits(self, blocks: Tensor) -> Tensor:
        """Logits of the middle frame's mask. Shape: (N, 1025, 100) -> (N, 1025)."""
        logits: Tensor = self.layers(torch.log1p(blocks)[:, None])
        return logits


def block(magnitudes: Tensor, middle: int) -> Tensor:
    """The 100 frames around one, zero outside. Shape: (B, bins, T) -> (B, bins, 100)."""
    first = middle - BLOCK // 2
    low, high = max(first, 0), min(first + BLOCK, magnitudes.shape[-1])
    return functional.pad(magnitudes[..., low:high], (low - first, first + BLOCK - high))
