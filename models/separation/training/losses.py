"""What the mask networks learn from: the powers of mixes and sources in the network's frequency groups.

The loss is in the STFT domain: of each source's complex error, the L1 norm relative to the mixture's and the Frobenius
norm relative to the mixture's, the second being what the signal-to-distortion ratio asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.separation.networks.band_mask import BandMask, group_sizes, grouped_product, view_powers
from models.separation.training.mixtures import Example


@dataclass(frozen=True)
class Powers:
    """What the loss needs of a batch of mixes, as means over each frequency group.

    `views`: power of the mixture's left, right, mid and side, (B, 4, groups, T). `cross`: Re(X* S) of each source with
    the mixture, and `own`: |S|², both (B, S, 2, groups, T). `hidden`: (B,) bool.
    """

    views: Tensor
    cross: Tensor
    own: Tensor
    hidden: Tensor


@torch.no_grad()
def powers_of(network: BandMask, examples: Sequence[Example]) -> Powers:
    """The powers of a batch, computed a source at a time so that it stays in the processor's cache."""
    views, cross, own = [], [], []
    for example in examples:
        sources = torch.from_numpy(example.sources)
        mix = network.stft(sources.sum(dim=0))
        views.append(view_powers(mix[None])[0])
        spectra = [network.stft(source) for source in sources]
        cross.append(torch.stack([grouped_product(mix, s) for s in spectra]))
        own.append(torch.stack([grouped_product(s, s) for s in spectra]))
    hidden = torch.tensor([example.hidden for example in examples])
    return Powers(torch.stack(views), torch.stack(cross), torch.stack(own), hidden)


@dataclass(frozen=True)
class Judging:
    """How masks are judged.

    `pair` is the sources (hidden, shown) of which some examples know only the sum; there only that counts. Each
    source's error counts as much as its `emphasis`. `precision` is the network's: "float32" or "bfloat16", which is
    faster on processors that compute in it.
    """

    pair: tuple[int, int]
    emphasis: tuple[float, ...]
    precision: str = "float32"


def loss(network: BandMask, judging: Judging, powers: Powers) -> Tensor:
    """How far the masks are from giving the sources.

    A mask M is the same in all bins of a frequency group, so there |MX - S|² = M²|X|² - 2M Re(X* S) + |S|² needs only
    the means over the group.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=judging.precision == "bfloat16"):
        masks = network.group_masks(powers.views).float()
    if bool(powers.hidden.any()):
        masks = _added(masks, powers.hidden, judging.pair)
    share = torch.tensor(judging.emphasis) / sum(judging.emphasis) / len(masks)
    value: Tensor = _Error.apply(masks, powers, share)  # type: ignore[no-untyped-call]
    return value


class _Error(torch.autograd.Function):
    """The masks' error and its gradient, a source at a time so that it stays in the processor's cache.

    Of each source, L1 norm and Frobenius norm of the error, both relative to the mixture's, times its share.
    """

    @staticmethod
    def forward(ctx: Any, masks: Tensor, powers: Powers, share: Tensor) -> Tensor:
        size = torch.tensor(group_sizes(), dtype=torch.float32)[:, None]
        total, slope = masks.new_zeros(()), torch.zeros_like(masks)
        for index, mixes in enumerate(powers.views[:, :2]):  # (2, groups, T)
            heard = (mixes * size).sum()
            if heard <= 1:
                continue
            loudness = (mixes.sqrt() * size).sum() + 1e-3
            for row in range(masks.shape[1]):
                mask, cross = masks[index, row], powers.cross[index, row]
                half_slope = mask * mixes - cross
                error = ((half_slope - cross) * mask + powers.own[index, row]).clamp_(min=0)
                half_slope.mul_(error > 0)
                root = (error + 1e-8).sqrt_()
                l2 = ((error.mul_(size)).sum() / (heard + 1e-3) + 1e-7).sqrt()
                total += share[row] * ((root * size).sum() / loudness + l2)
                rate = (1 / (loudness * root)).add_(1 / (l2 * (heard + 1e-3)))
                slope[index, row] = half_slope.mul_(rate).mul_(size * share[row])
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * gradients[0], None, None


def _total(values: Tensor, size: Tensor) -> Tensor:
    """The sum over sides, bins and time. Shapes: (B, S, 2, groups, T), (groups,) -> (B, S)."""
    return torch.matmul(values.sum(dim=-1), size).sum(dim=-1)


def _added(masks: Tensor, hidden: Tensor, pair: tuple[int, int]) -> Tensor:
    """The masks with the pair's first added to its second where the first is hidden."""
    rows = list(masks.unbind(dim=1))
    first, second = pair
    where = hidden[:, None, None, None]
    rows[second] = torch.where(where, rows[first] + rows[second], rows[second])
    rows[first] = torch.where(where, torch.zeros_like(rows[first]), rows[first])
    return torch.stack(rows, dim=1)


def held_out_sdrs(network: BandMask, pair: tuple[int, int], batches: Sequence[Powers]) -> dict[str, float]:
    """SDR in dB of each source over fixed batches, in the STFT domain: cheap enough to watch while training."""
    was, size = network.training, torch.tensor(group_sizes(), dtype=torch.float32)
    network.eval()
    error = signal = torch.zeros(len(network.sources))
    with torch.no_grad():
        for powers in batches:
            masks = _added(network.group_masks(powers.views), powers.hidden, pair)
            wrong = masks.square() * powers.views[:, None, :2] - 2 * masks * powers.cross + powers.own
            error = error + _total(wrong, size).sum(dim=0)
            signal = signal + _total(powers.own, size).sum(dim=0)
    network.train(was)
    ratios = 10 * torch.log10((signal + 1e-9) / (error + 1e-9))
    return {name: round(float(ratio), 2) for name, ratio in zip(network.sources, ratios, strict=True)}
