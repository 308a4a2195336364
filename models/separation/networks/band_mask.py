"""BandMask, a band-split masking separator small enough to train on a CPU.

The magnitude spectra of left, right, mid and side are split into bands (after Luo & Yu, "Music Source Separation with
Band-Split RNN", 2022); dilated convolutions over time see all bands; each band then decodes its masks from their
output and from its own features. The masks are a softmax over the sources, so the sources sum to the mixture.

The class has the attributes demucs asks of a network (`sources samplerate audio_channels segment`), so that
`demucs.apply.apply_model`, demucs' bags and its safetensors format take it unchanged.
"""

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.separation.networks.wiener import wiener_gains

GROUPS = ((400, 1), (200, 2), (156, 8))
"""(groups, STFT bins a group) from 0 Hz up: fine at fundamental frequencies, then coarse."""
BAND = 18
"""Frequency groups in a band; 756 groups make 42 bands."""
FEATURES = 24
"""Feature channels a band."""
WINDOW, HOP = 4096, 1024
"""STFT window and hop in frames."""


class BandMask(nn.Module):
    """Separates a stereo mixture. Shape: (B, 2, frames) -> (B, sources, 2, frames).

    `segment` is the inference segment in seconds. With `keep` (the name of a source) and `share` (0..1), the mask of
    any other source is added to that of `keep` where its part of the power, over about a second, is below `share`: this
    suppresses artefacts of absent sources.

    At inference only, `temperature` divides the logits of the masks, and `wiener` applies a multichannel Wiener filter
    (`models.separation.networks.wiener`).
    """

    samplerate = 44100
    audio_channels = 2

    def __init__(
        self,
        sources: Sequence[str],
        width: int = 384,
        depth: int = 5,
        segment: float | Fraction = 8.0,
        keep: str | None = None,
        share: float = 0.0,
        temperature: float = 1.0,
        wiener: bool = False,
    ) -> None:
        super().__init__()
        self.sources = list(sources)
        self.segment = segment
        self.width, self.depth = width, depth
        self.keep, self.share = keep, share
        self.temperature, self.wiener = temperature, wiener
        self.bands = sum(count for count, _ in GROUPS) // BAND
        self.encode = BandLinear(self.bands, 4 * BAND, FEATURES)
        self.enter = nn.Conv1d(self.bands * FEATURES, width, 1)
        self.blocks = nn.ModuleList(TemporalBlock(width, dilation=2**i) for i in range(depth))
        self.leave = nn.Conv1d(width, self.bands * FEATURES, 1)
        self.decode = BandLinear(self.bands, 2 * FEATURES, 3 * FEATURES)
        self.masks = BandLinear(self.bands, 3 * FEATURES, len(self.sources) * 2 * BAND)
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, mix: Tensor) -> Tensor:
        spectrum = self.stft(mix)  # (B, 2, bins, T) complex
        views = view_powers(spectrum)
        masks = apply_temperature(self.group_masks(views).float(), self.temperature)
        if self.wiener:
            gains = self.widen(wiener_gains(masks, views))  # (B, S, 2, 2, bins, T)
            parts = gains[:, :, :, 0] * spectrum[:, None, :1] + gains[:, :, :, 1] * spectrum[:, None, 1:]
        else:
            parts = self.widen(masks) * spectrum[:, None]  # (B, S, 2, bins, T)
        batch, sources, channels, bins, frames = parts.shape
        waves = torch.istft(
            parts.reshape(-1, bins, frames), WINDOW, HOP, window=self.window, length=mix.shape[-1], center=True
        )
        return waves.reshape(batch, sources, channels, -1)

    def stft(self, wave: Tensor) -> Tensor:
        """The complex spectrum. Shape: (..., frames) -> (..., bins, T)."""
        padded = functional.pad(wave.reshape(-1, wave.shape[-1]), (0, -wave.shape[-1] % HOP))
        spectrum = torch.stft(padded, WINDOW, HOP, window=self.window, return_complex=True, pad_mode="constant")
        return spectrum.reshape(*wave.shape[:-1], *spectrum.shape[-2:])

    def group_masks(self, powers: Tensor) -> Tensor:
        """Masks of each frequency group, summing to one over the sources, from the powers of left, right, mid and side.

        Shape: (B, 4, groups, T) -> (B, S, 2, groups, T).
        """
        batch, _, _, frames = powers.shape
        level = powers[:, :2].mean(dim=(1, 2, 3), keepdim=True)
        logs = torch.log10(powers / (level + 1e-10) + 1e-6) / 2 + 1
        logs = logs.reshape(batch, 4, self.bands, BAND, frames).transpose(1, 2).reshape(batch, self.bands, -1, frames)
        x = self.encode(logs)  # (B, bands, F, T)
        y = self.enter(x.reshape(batch, -1, frames))  # (B, width, T)
        for block in self.blocks:
            y = block(y)
        y = self.leave(y).reshape(x.shape)
        z = functional.gelu(self.decode(torch.cat([x, y], dim=2)))
        z = self.masks(z).reshape(batch, self.bands, len(self.sources), 2, BAND, frames)
        z = z.permute(0, 2, 3, 1, 4, 5).reshape(batch, len(self.sources), 2, -1, frames)
        masks = torch.softmax(z, dim=1)
        return masks if self.keep is None else self._return_to_main(masks, powers[:, None, :2])

    def widen(self, masks: Tensor) -> Tensor:
        """Masks of groups repeated for their bins. Shape: (..., groups, T) -> (..., bins, T)."""
        parts, at = [], 0
        for count, size in GROUPS:
            parts.append(masks[..., at : at + count, :].repeat_interleave(size, dim=-2))
            at += count
        return torch.cat([*parts, masks[..., -1:, :]], dim=-2)  # the Nyquist bin gets the mask of its neighbour

    def _return_to_main(self, masks: Tensor, powers: Tensor) -> Tensor:
        """Masks of sources below `share` of the power added to that of `keep`. `powers`: (B, 1, 2, groups, T)."""
        main = self.sources.index(str(self.keep))
        sizes = powers.new_tensor(group_sizes())[:, None]
        power = (masks * powers * sizes).sum(dim=(2, 3))  # (B, S, T)
        smooth = functional.avg_pool1d(power, 43, stride=1, padding=21, count_include_pad=False)
        present = smooth / (smooth.sum(dim=1, keepdim=True) + 1e-12)
        fade = ((present / self.share - 1).clamp(0, 1))[:, :, None, None, :]
        faded = masks * fade
        faded[:, main] = 1 - (faded.sum(dim=1) - faded[:, main])
        return faded


class TemporalBlock(nn.Module):
    """A dilated convolution over time with a residual path. Shape: (B, width, T) -> (B, width, T)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.spread = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.mix(functional.gelu(self.spread(self.norm(x))))
        return out


class BandLinear(nn.Module):
    """One linear map a band. Shape: (B, bands, inputs, T) -> (B, bands, outputs, T)."""

    def __init__(self, bands: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(bands, outputs, inputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(bands, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(self.weight, x) + self.bias


def apply_temperature(masks: Tensor, temperature: float) -> Tensor:
    """Softmax masks with their logits divided by `temperature`. Shape: (B, S, ...) unchanged."""
    if temperature == 1:
        return masks
    flat = masks ** (1 / temperature)
    return flat / flat.sum(dim=1, keepdim=True)


def view_powers(spectrum: Tensor) -> Tensor:
    """The power of left, right, mid and side in each frequency group. Shape: (B, 2, bins, T) -> (B, 4, groups, T)."""
    left, right = spectrum[:, 0], spectrum[:, 1]
    views = (left, right, (left + right) / 2, (left - right) / 2)
    return torch.stack([grouped_product(view, view) for view in views], dim=1)


def group_sizes() -> list[int]:
    """How many bins each frequency group has."""
    return [size for count, size in GROUPS for _ in range(count)]


def grouped_product(one: Tensor, other: Tensor) -> Tensor:
    """Mean of Re(X* Y) over each frequency group; the power where X = Y.

    Shape: (..., bins, T) complex both -> (..., groups, T). Computed on the STFT's memory layout, (T, bins, 2).
    """
    product = torch.view_as_real(one.transpose(-1, -2)) * torch.view_as_real(other.transpose(-1, -2))
    bins = product[..., 0] + product[..., 1]  # (..., T, bins)
    parts, at = [], 0
    for count, size in GROUPS:
        part = bins[..., at : at + count * size]
        if size == 2:
            part = (part[..., ::2] + part[..., 1::2]) / 2
        elif size > 2:
            part = part.reshape(*part.shape[:-1], count, size).mean(dim=-1)
        parts.append(part)
        at += count * size
    return torch.cat(parts, dim=-1).transpose(-1, -2).contiguous()
