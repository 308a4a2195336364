"""Where the sources sit between left and right, and what that tells apart: a multichannel Wiener filter.

A mask alone scales each side by what it has of a source. Sources also have places: averaged over the segment, the
covariance of left and right in a frequency group is a source's own, and a moment's left and right together then tell
more than each alone (Duong, Vincent & Gribonval, "Under-determined reverberant audio source separation using a
full-rank spatial covariance model", 2010; Nugraha, Liutkus & Vincent, "Multichannel audio source separation with deep
neural networks", 2016). Only the real part is used: sources are panned by loudness, seldom by delay.
"""

import torch
from torch import Tensor

LOADING = 1e-3
"""Part of a moment's power that is taken to be no source's, which keeps the mixture's covariance invertible."""
SILENCE = 1e-10


def placed(masks: Tensor, views: Tensor) -> Tensor:
    """What each side of each source takes from each side of the mixture; over the sources, the identity.

    `masks`: (B, S, 2, groups, T), summing to one over the sources. `views`: power of the mixture's left, right, mid and
    side, (B, 4, groups, T). Shape: (B, S, 2, 2, groups, T), of the two sides the source's before the mixture's.
    """
    powers, shared = views[:, None, :2], (views[:, 2] - views[:, 3])[:, None]  # |L|², |R|²; Re(L* R)
    variance = (masks * powers).mean(dim=2)  # (B, S, groups, T)
    left, right, both = _covariances(masks, powers, shared)  # (B, S, groups, 1) each
    mix_left, mix_right, mix_both = ((variance * part).sum(dim=1) for part in (left, right, both))
    loading = LOADING / 2 * (mix_left + mix_right) + SILENCE
    mix_left, mix_right = mix_left + loading, mix_right + loading  # (B, groups, T)
    gain = variance / (mix_left * mix_right - mix_both.square())[:, None]
    mix_left, mix_right, mix_both = mix_left[:, None], mix_right[:, None], mix_both[:, None]
    from_left = torch.stack([left * mix_right - both * mix_both, both * mix_right - right * mix_both], dim=2)
    from_right = torch.stack([both * mix_left - left * mix_both, right * mix_left - both * mix_both], dim=2)
    taken = torch.stack([from_left, from_right], dim=3) * gain[:, :, None, None]  # (B, S, 2, 2, groups, T)
    lost = torch.eye(2)[..., None, None].to(taken) - taken.sum(dim=1)  # (B, 2, 2, groups, T)
    return taken + masks[:, :, :, None] * lost[:, None]


def _covariances(masks: Tensor, powers: Tensor, shared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each source's mean covariance: of left, of right, between them, at a mean power of one.

    Moments that are surely the source's count more: the masks weigh by their square. Shape: (B, S, groups, 1) each.
    """
    sure = masks.square()
    left, right = ((sure * powers).sum(dim=-1, keepdim=True)).unbind(dim=2)
    both = (sure.prod(dim=2).sqrt() * shared).sum(dim=-1, keepdim=True)
    power = (left + right) / 2 + SILENCE
    return left / power, right / power, both / power
