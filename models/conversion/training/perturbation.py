"""Random perturbation of a speaker: speed, formants, equaliser, reverberation, noise and gain, at constant content.

After Choi et al., "Neural Analysis and Synthesis", 2021.
"""

from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor

from models.conversion.content import CONTENT_RATE
from models.core.dtypes import FloatArray

_FFT, _HOP = 1024, 256
_LIFTER = 28


@dataclass(frozen=True)
class Perturbation:
    """`speed` multiplies pitch, formants and tempo; `formants` is the final ratio of the formants.

    `eq_db` are gains at equally spaced mel frequencies; `noise_db` is the signal-to-noise ratio; `room_s` the
    reverberation time, 0 for none; `gain_db` is applied last.
    """

    speed: float
    formants: float
    eq_db: FloatArray
    noise_db: float
    room_s: float
    gain_db: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "Perturbation":
        """A random perturbation: speed -0.7 to 0.8 octaves, formants ±0.27 octaves."""
        return Perturbation(
            speed=float(2 ** rng.uniform(-0.7, 0.8)),
            formants=float(2 ** rng.uniform(-0.27, 0.27)),
            eq_db=rng.normal(0, 4, 8).astype(np.float32),
            noise_db=float(rng.uniform(15, 60)),
            room_s=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.25 else 0.0,
            gain_db=float(rng.uniform(-25, 0)),
        )


def resample_speed(audio: FloatArray, start: int, length: int, speed: float) -> FloatArray:
    """`length` samples from `start` on, `speed` times as fast, zero-padded at the end. Shape: (length,)."""
    piece = audio[start : start + int(np.ceil(length * speed)) + 64]
    piece = soxr.resample(piece, speed, 1.0, quality="LQ") if speed != 1 else piece
    out = np.zeros(length, np.float32)
    out[: min(length, len(piece))] = piece[:length]
    return out


def perturb(audio: Tensor, settings: list[Perturbation], rng: torch.Generator) -> Tensor:
    """Audio at the new speed with the rest of each perturbation. Shape: (batch, samples) -> (batch, samples)."""
    window = torch.hann_window(_FFT)
    spectrum = torch.stft(audio, _FFT, _HOP, window=window, return_complex=True)  # (B, F, T)
    gain = _formant_gain(spectrum.abs(), torch.tensor([p.formants / p.speed for p in settings]))
    gain = gain * _equaliser(torch.from_numpy(np.stack([p.eq_db for p in settings])), spectrum.shape[1])[:, :, None]
    out = torch.istft(spectrum * gain, _FFT, _HOP, window=window, length=audio.shape[1])
    out = torch.stack([_add_reverb(row, p.room_s, rng) for row, p in zip(out, settings, strict=True)])
    out = out / out.abs().amax(dim=1, keepdim=True).clamp(min=1e-4) * 0.7
    level = out.square().mean(dim=1, keepdim=True).sqrt()
    noise_db = torch.tensor([[p.noise_db] for p in settings])
    out = out + torch.randn(out.shape, generator=rng) * level * 10 ** (-noise_db / 20)
    return out * 10 ** (torch.tensor([[p.gain_db] for p in settings]) / 20)


def _formant_gain(magnitude: Tensor, warp: Tensor) -> Tensor:
    """Gain that multiplies the frequencies of the cepstral envelope by `warp`. Shape: (B, F, T)."""
    log = magnitude.clamp(min=1e-5).log()
    cepstrum = torch.fft.irfft(log, dim=1)  # (B, FFT, T)
    cepstrum[:, _LIFTER:-_LIFTER] = 0
    envelope = torch.fft.rfft(cepstrum, dim=1).real  # (B, F, T)
    bins = envelope.shape[1]
    source = (torch.arange(bins)[None] / warp[:, None]).clamp(max=bins - 1)  # (B, F)
    low = source.floor().long().clamp(max=bins - 2)
    fraction = (source - low)[:, :, None]
    index = low[:, :, None].expand(-1, -1, envelope.shape[2])
    warped = torch.gather(envelope, 1, index) * (1 - fraction) + torch.gather(envelope, 1, index + 1) * fraction
    gain: Tensor = (warped - envelope).clamp(-4, 4).exp()
    return gain


def _equaliser(points_db: Tensor, bins: int) -> Tensor:
    """A smooth equaliser curve through gains at equal mel steps. Shape: (B, points) -> (B, bins)."""
    hz = torch.arange(bins) * CONTENT_RATE / 2 / (bins - 1)
    mel = torch.log10(1 + hz / 700) / np.log10(1 + CONTENT_RATE / 2 / 700) * (points_db.shape[1] - 1)
    low = mel.floor().long().clamp(max=points_db.shape[1] - 2)
    fraction = (1 - torch.cos((mel - low) * torch.pi)) / 2
    gain: Tensor = 10 ** ((points_db[:, low] * (1 - fraction) + points_db[:, low + 1] * fraction) / 20)
    return gain


def _add_reverb(row: Tensor, room_s: float, rng: torch.Generator) -> Tensor:
    if room_s == 0:
        return row
    size = int(room_s * CONTENT_RATE)
    decay = torch.exp(-torch.arange(size) * 6.9 / size)
    tail = torch.randn(size, generator=rng) * decay
    tail = tail / tail.square().sum().sqrt() * 0.5
    tail[0] = 1.0
    total = len(row) + size
    wet: Tensor = torch.fft.irfft(torch.fft.rfft(row, total) * torch.fft.rfft(tail, total), total)
    return wet[: len(row)]
