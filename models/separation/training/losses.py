"""STFT-domain loss of BandMask, computed from powers of mixes and sources in its frequency groups.

Of each source's complex error, the L1 norm and the Frobenius norm, both relative to the mixture's; the second is
monotonic in the signal-to-distortion ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.separation.networks.band_mask import BandMask, group_sizes, grouped_product, view_powers
from models.separation.training.mixtures import Example


@dataclass(frozen=True)
class SpectralPowers:
    """Powers of a batch of mixes and their sources, as means over each frequency group.

    `views`: power of the mixture's left, right, mid and side, (B, 4, groups, T). `cross`: Re(X* S) of each source with
    the mixture, and `own`: |S|², both (B, S, 2, groups, T). `hidden`: (B,) bool.
    """

    views: Tensor
    cross: Tensor
    own: Tensor
    hidden: Tensor


@torch.no_grad()
def spectral_powers(network: BandMask, examples: Sequence[Example]) -> SpectralPowers:
    """The powers of a batch, computed source by source to fit the CPU's cache."""
    views, cross, own = [], [], []
    for example in examples:
        sources = torch.from_numpy(example.sources)
        mix = network.stft(sources.sum(dim=0))
        views.append(view_powers(mix[None])[0])
        spectra = [network.stft(source) for source in sources]
        cross.append(torch.stack([grouped_product(mix, s) for s in spectra]))
        own.append(torch.stack([grouped_product(s, s) for s in spectra]))
    hidden = torch.tensor([example.hidden for example in examples])
    return SpectralPowers(torch.stack(views), torch.stack(cross), torch.stack(own), hidden)


@dataclass(frozen=True)
class LossSettings:
    """`pair`: sources (a, b) of which examples with `hidden` have only the sum, as b; there the sum is compared.

    `source_weights` weight the sources' errors. `precision` of the network: "float32" or "bfloat16", faster on
    processors that compute in it.
    """

    pair: tuple[int, int]
    source_weights: tuple[float, ...]
    precision: str = "float32"


def loss(network: BandMask, settings: LossSettings, powers: SpectralPowers) -> Tensor:
    """Weighted L1 and Frobenius norms of the sources' complex errors, relative to the mixture's.

    A mask M is the same in all bins of a frequency group, so there |MX - S|² = M²|X|² - 2M Re(X* S) + |S|² needs only
    the means over the group.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bfloat16"):
        masks = network.group_masks(powers.views).float()
    if bool(powers.hidden.any()):
        masks = _merge_hidden(masks, powers.hidden, settings.pair)
    weights = torch.tensor(settings.source_weights) / sum(settings.source_weights) / len(masks)
    value: Tensor = _MaskError.apply(masks, powers, weights)  # type: ignore[no-untyped-call]
    return value


class _MaskError(torch.autograd.Function):
    """The error of masks and its gradient, source by source to fit the CPU's cache.

    Of each source, the L1 and Frobenius norms of the error relative to the mixture's, times its weight. Examples of
    silence contribute nothing.
    """

    @staticmethod
    def forward(ctx: Any, masks: Tensor, powers: SpectralPowers, weights: Tensor) -> Tensor:
        size = torch.tensor(group_sizes(), dtype=torch.float32)[:, None]
        total, gradient = masks.new_zeros(()), torch.zeros_like(masks)
        for index, mixes in enumerate(powers.views[:, :2]):  # (2, groups, T)
            mix_power = (mixes * size).sum()
            if mix_power <= 1:
                continue
            mix_l1 = (mixes.sqrt() * size).sum() + 1e-3
            for row in range(masks.shape[1]):
                mask, cross = masks[index, row], powers.cross[index, row]
                half_gradient = mask * mixes - cross
                error = ((half_gradient - cross) * mask + powers.own[index, row]).clamp_(min=0)
                half_gradient.mul_(error > 0)
                root = (error + 1e-8).sqrt_()
                l2 = ((error.mul_(size)).sum() / (mix_power + 1e-3) + 1e-7).sqrt()
                total += weights[row] * ((root * size).sum() / mix_l1 + l2)
                rate = (1 / (mix_l1 * root)).add_(1 / (l2 * (mix_power + 1e-3)))
                gradient[index, row] = half_gradient.mul_(rate).mul_(size * weights[row])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0], None, None


def _total(values: Tensor, size: Tensor) -> Tensor:
    """The sum over channels, bins and time. Shapes: (B, S, 2, groups, T), (groups,) -> (B, S)."""
    return torch.matmul(values.sum(dim=-1), size).sum(dim=-1)


def _merge_hidden(masks: Tensor, hidden: Tensor, pair: tuple[int, int]) -> Tensor:
    """The masks with the pair's first added to its second, and zeroed, in examples with `hidden`."""
    rows = list(masks.unbind(dim=1))
    first, second = pair
    merged = hidden[:, None, None, None]
    rows[second] = torch.where(merged, rows[first] + rows[second], rows[second])
    rows[first] = torch.where(merged, torch.zeros_like(rows[first]), rows[first])
    return torch.stack(rows, dim=1)


def held_out_sdrs(network: BandMask, pair: tuple[int, int], batches: Sequence[SpectralPowers]) -> dict[str, float]:
    """SDR in dB of each source over fixed batches, in the STFT domain: a cheap validation metric."""
    was_training, size = network.training, torch.tensor(group_sizes(), dtype=torch.float32)
    network.eval()
    error = signal = torch.zeros(len(network.sources))
    with torch.no_grad():
        for powers in batches:
            masks = _merge_hidden(network.group_masks(powers.views), powers.hidden, pair)
            squared_error = masks.square() * powers.views[:, None, :2] - 2 * masks * powers.cross + powers.own
            error = error + _total(squared_error, size).sum(dim=0)
            signal = signal + _total(powers.own, size).sum(dim=0)
    network.train(was_training)
    ratios = 10 * torch.log10((signal + 1e-9) / (error + 1e-9))
    return {name: round(float(ratio), 2) for name, ratio in zip(network.sources, ratios, strict=True)}
