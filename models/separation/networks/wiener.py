"""Multichannel Wiener filter on stereo masks.

Each source's spatial covariance of left and right is estimated per frequency group over the segment, and the filter
combines both channels (Duong, Vincent & Gribonval, "Under-determined reverberant audio source separation using a
full-rank spatial covariance model", 2010; Nugraha, Liutkus & Vincent, "Multichannel audio source separation with deep
neural networks", 2016). Only the real part is used: sources are panned by level, seldom by delay.
"""

import torch
from torch import Tensor

LOADING = 1e-3
"""Diagonal loading of the mixture's covariance, relative to its mean diagonal, which keeps it invertible."""
SILENCE = 1e-10


def wiener_gains(masks: Tensor, views: Tensor) -> Tensor:
    """Gain from each mixture channel to each channel of each source; over the sources they sum to the identity.

    `masks`: (B, S, 2, groups, T), summing to one over the sources. `views`: power of the mixture's left, right, mid and
    side, (B, 4, groups, T). Shape: (B, S, 2 of the source, 2 of the mixture, groups, T).
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
    gains = torch.stack([from_left, from_right], dim=3) * gain[:, :, None, None]  # (B, S, 2, 2, groups, T)
    residual = torch.eye(2)[..., None, None].to(gains) - gains.sum(dim=1)  # (B, 2, 2, groups, T)
    return gains + masks[:, :, :, None] * residual[:, None]


def _covariances(masks: Tensor, powers: Tensor, shared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each source's mean covariance (left, right, cross) over time, normalised to a mean power of one.

    Frames are weighted by the squared masks, so those a source dominates count more. Shape: (B, S, groups, 1) each.
    """
    weights = masks.square()
    left, right = ((weights * powers).sum(dim=-1, keepdim=True)).unbind(dim=2)
    both = (weights.prod(dim=2).sqrt() * shared).sum(dim=-1, keepdim=True)
    power = (left + right) / 2 + SILENCE
    return left / power, right / power, both / power
