"""A separator small enough to train on a CPU: band-wise spectra in, masks over the sources out.

The magnitude spectra of left, right, mid and side are split into bands (after Luo & Yu, "Music Source Separation with
Band-Split RNN", 2022); dilated convolutions over time see the whole spectrum at once; each band then decodes its masks
from that and from its own features. The masks are a softmax over the sources, so the sources sum to the mixture.

The class has the attributes demucs asks of a network (`sources samplerate audio_channels segment`), so that
`demucs.apply.apply_model`, demucs' bags and its safetensors format take it unchanged.
"""

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.separation.networks.wiener import placed

GROUPS = ((400, 1), (200, 2), (156, 8))
"""How many frequency groups there are of how many STFT bins each, from 0 Hz up: fine where pitches lie, then coarse."""
BAND = 18
"""Frequency groups in a band; 756 groups make 42 bands."""
FEATURES = 24
"""Channels a band is encoded in."""
WINDOW, HOP = 4096, 1024
"""STFT window and hop in frames."""


class BandMask(nn.Module):
    """Takes a stereo mixture apart. Shape: (B, 2, frames) -> (B, sources, 2, frames).

    `segment` is the length in seconds it is best given at a time. With `keep` (the name of a source) and `share`
    (0..1), what a source other than `keep` was given stays in `keep` wherever that source's part of the power, over
    about a second, is below `share`: a source that is hardly there is not worth tearing the main one for.

    Two things are done to the masks where a mixture is taken apart, and not where the network learns: above 1,
    `temperature` makes them less sure of themselves (the logits are divided by it), and with `places` each side of a
    source is made from both sides of the mixture (`models.separation.networks.wiener`).
    """

    def __init__(
        self,
        sources: Sequence[str],
        width: int = 384,
        depth: int = 5,
        samplerate: int = 44100,
        segment: float | Fraction = 8.0,
        keep: str | None = None,
        share: float = 0.0,
        temperature: float = 1.0,
        places: bool = False,
    ) -> None:
        super().__init__()
        self.sources = list(sources)
        self.samplerate = samplerate
        self.audio_channels = 2
        self.segment = segment
        self.width, self.depth = width, depth
        self.keep, self.share = keep, share
        self.temperature, self.places = temperature, places
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
        masks = softened(self.group_masks(views).float(), self.temperature)
        if self.places:
            gains = self.widen(placed(masks, views))  # (B, S, 2, 2, bins, T)
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
        """Masks a frequency group, summing to one over the sources, from the powers of L, R, mid and side there.

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
        return masks if self.keep is None else self._kept(masks, powers[:, None, :2])

    def widen(self, masks: Tensor) -> Tensor:
        """Masks a group as masks a bin. Shape: (..., groups, T) -> (..., bins, T)."""
        parts, at = [], 0
        for count, size in GROUPS:
            parts.append(masks[..., at : at + count, :].repeat_interleave(size, dim=-2))
            at += count
        return torch.cat([*parts, masks[..., -1:, :]], dim=-2)  # the bin at half the rate goes with its neighbour

    def _kept(self, masks: Tensor, powers: Tensor) -> Tensor:
        """The masks with the sources that are hardly there given back to `keep`. `powers`: (B, 1, 2, groups, T)."""
        home = self.sources.index(str(self.keep))
        sizes = powers.new_tensor(group_sizes())[:, None]
        heard = (masks * powers * sizes).sum(dim=(2, 3))  # (B, S, T)
        smooth = functional.avg_pool1d(heard, 43, stride=1, padding=21, count_include_pad=False)
        present = smooth / (smooth.sum(dim=1, keepdim=True) + 1e-12)
        trust = ((present / self.share - 1).clamp(0, 1))[:, :, None, None, :]
        given = masks * trust
        given[:, home] = 1 - (given.sum(dim=1) - given[:, home])
        return given


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


def softened(masks: Tensor, temperature: float) -> Tensor:
    """The softmax masks as they would be with their logits divided by `temperature`. Shape: (B, S, ...) as given."""
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
    """Re(X* Y) of two spectra as the mean over each frequency group: with X = Y the power.

    Shape: (..., bins, T) complex both -> (..., groups, T). An STFT lies in memory as (T, bins, real and imaginary),
    so the product is taken on that.
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
