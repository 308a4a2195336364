"""Losses of the small voice: multi-resolution spectral loss, log-mel loss, and a spectrogram discriminator.

The multi-resolution STFT loss is after Yamamoto et al., "Parallel WaveGAN", 2020; the discriminator is a small network
on spectrograms after Jang et al., "UnivNet", 2021.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.conversion.training.content_encoder import mel_filters

MELS = 80
RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512))


class SpectrogramDiscriminator(nn.Module):
    """Discriminator on log spectrograms at two resolutions. Shape: (B, N) -> feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, 16, (9, 3), (2, 1), (4, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(16, 24, (9, 3), (3, 1), (4, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(24, 32, (9, 3), (3, 2), (4, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(32, 1, 3, 1, 1),
            )
            for _ in range(2)
        )

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """For each resolution, the feature maps after each nonlinearity and the logits."""
        outputs = []
        for stack, (fft, hop) in zip(self.stacks, ((1024, 256), (512, 128)), strict=True):
            x = (magnitude_spectrogram(audio, fft, hop) + 1e-4).log()[:, None]
            maps = []
            for layer in stack.children():
                x = layer(x)
                maps.append(x)
            outputs.append(maps[1::2] + maps[-1:])
        return outputs


def magnitude_spectrogram(audio: Tensor, fft: int, hop: int) -> Tensor:
    """Magnitude of the STFT. Shape: (B, N) -> (B, fft // 2 + 1, T)."""
    window = torch.hann_window(fft, device=audio.device)
    return torch.stft(audio, fft, hop, window=window, return_complex=True).abs()


def match_loudness(synthesis: Tensor, reference: Tensor, rate: int, max_gain_db: float = 24.0) -> Tensor:
    """A synthesis with the RMS envelope of the reference, as in conversion. Shape: (B, N), (B, N).

    So the loss does not depend on loudness. The gain is at most `max_gain_db`.
    """
    width = max(round(0.01 * rate), 1) | 1

    def power(audio: Tensor) -> Tensor:
        squared = audio[:, None] ** 2
        for _ in range(3):
            squared = functional.avg_pool1d(squared, width, 1, width // 2)
        return squared[:, 0]

    gain = ((power(reference) + 1e-10) / (power(synthesis) + 1e-10)).sqrt()
    return synthesis * gain.clamp(max=10 ** (max_gain_db / 20))


def spectral_loss(synthesis: Tensor, reference: Tensor, rate: int) -> tuple[Tensor, Tensor]:
    """Multi-resolution spectral convergence plus log-magnitude loss, and the L1 distance of log-mel frames."""
    spectral = synthesis.new_zeros(())
    mel = synthesis.new_zeros(())
    for fft, hop in RESOLUTIONS:
        estimate, target = magnitude_spectrogram(synthesis, fft, hop), magnitude_spectrogram(reference, fft, hop)
        spectral = spectral + (estimate - target).norm() / target.norm().clamp(min=1e-3)
        spectral = spectral + ((estimate + 1e-3).log() - (target + 1e-3).log()).abs().mean()
        if fft == 1024:
            filters = mel_filters(fft // 2 + 1, rate, 80, rate / 2).to(synthesis.device)
            mel = ((filters @ estimate + 1e-3).log() - (filters @ target + 1e-3).log()).abs().mean()
    return spectral / len(RESOLUTIONS), mel


def log_mel(audio: Tensor, rate: int, hop: int) -> Tensor:
    """Log-mel frames centred at (i + 0.5) * hop samples. Shape: (B, T * hop) -> (B, mels, T)."""
    fft = 1024
    padded = functional.pad(audio, ((fft - hop) // 2, (fft - hop) // 2))
    window = torch.hann_window(fft, device=audio.device)
    magnitude = torch.stft(padded, fft, hop, window=window, center=False, return_complex=True).abs()
    return (mel_filters(fft // 2 + 1, rate, MELS, rate / 2).to(audio.device) @ magnitude + 1e-3).log()
