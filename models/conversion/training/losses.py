"""How far a synthesis is from a recording: spectra at several resolutions, mel frames, and a judge that learns.

Multi-resolution spectra after Yamamoto et al., "Parallel WaveGAN", 2020; the judge is a small network on spectrograms
after Jang et al., "UnivNet", 2021.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.conversion.training.content_encoder import mel_filters

MELS = 80
RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512))


class Judge(nn.Module):
    """Tells recordings from syntheses by their spectrograms at two resolutions. Shape: (B, N) -> maps."""

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
        """The maps after each nonlinearity and the verdict, for each resolution."""
        found = []
        for stack, (fft, hop) in zip(self.stacks, ((1024, 256), (512, 128)), strict=True):
            x = (spectrum(audio, fft, hop) + 1e-4).log()[:, None]
            maps = []
            for layer in stack.children():
                x = layer(x)
                maps.append(x)
            found.append(maps[1::2] + maps[-1:])
        return found


def spectrum(audio: Tensor, fft: int, hop: int) -> Tensor:
    """The magnitude of the short-time spectrum. Shape: (B, N) -> (B, fft // 2 + 1, T)."""
    window = torch.hann_window(fft, device=audio.device)
    return torch.stft(audio, fft, hop, window=window, return_complex=True).abs()


def with_contour(sung: Tensor, wanted: Tensor, rate: int, most_db: float = 24.0) -> Tensor:
    """A synthesis with the loudness contour of the recording, as converting puts it back. Shape: (B, N), (B, N).

    So the network learns what sounds and not how loud. Nothing is raised by more than `most_db`.
    """
    width = max(round(0.01 * rate), 1) | 1

    def power(audio: Tensor) -> Tensor:
        found = audio[:, None] ** 2
        for _ in range(3):
            found = functional.avg_pool1d(found, width, 1, width // 2)
        return found[:, 0]

    gain = ((power(wanted) + 1e-10) / (power(sung) + 1e-10)).sqrt()
    return sung * gain.clamp(max=10 ** (most_db / 20))


def spectral_loss(sung: Tensor, wanted: Tensor, rate: int) -> tuple[Tensor, Tensor]:
    """Multi-resolution spectral convergence plus log magnitude, and the distance of log-mel frames."""
    spectral = sung.new_zeros(())
    mel = sung.new_zeros(())
    for fft, hop in RESOLUTIONS:
        ours, theirs = spectrum(sung, fft, hop), spectrum(wanted, fft, hop)
        spectral = spectral + (ours - theirs).norm() / theirs.norm().clamp(min=1e-3)
        spectral = spectral + ((ours + 1e-3).log() - (theirs + 1e-3).log()).abs().mean()
        if fft == 1024:
            filters = mel_filters(fft // 2 + 1, rate, 80, rate / 2).to(sung.device)
            mel = ((filters @ ours + 1e-3).log() - (filters @ theirs + 1e-3).log()).abs().mean()
    return spectral / len(RESOLUTIONS), mel


def log_mel(audio: Tensor, rate: int, hop: int) -> Tensor:
    """Log-mel frames centred at (i + 0.5) * hop samples. Shape: (B, T * hop) -> (B, mels, T)."""
    fft = 1024
    padded = functional.pad(audio, ((fft - hop) // 2, (fft - hop) // 2))
    window = torch.hann_window(fft, device=audio.device)
    magnitude = torch.stft(padded, fft, hop, window=window, center=False, return_complex=True).abs()
    return (mel_filters(fft // 2 + 1, rate, MELS, rate / 2).to(audio.device) @ magnitude + 1e-3).log()
