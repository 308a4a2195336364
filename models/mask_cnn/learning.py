"""What the baseline learns from: blocks of mixes, and for the middle frame where the voice is the louder part."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.mask_cnn.network import BLOCK, MaskCnn, block

BLOCKS_A_MIX = 4


@torch.no_grad()
def blocks_of(network: MaskCnn, mixes: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Blocks (N, 1025, 100) of the mono mixes, and the truth (N, 1025) of 0 and 1 in their middle frames.

    Each mix has shape (sources, 2, frames), the voice last; four blocks are taken of each, evenly spread.
    """
    blocks, truths = [], []
    for sources in mixes:
        mono = torch.from_numpy(sources).mean(dim=1)  # (S, frames)
        mix = network.stft(mono.sum(dim=0, keepdim=True)).abs()
        voice = network.stft(mono[-1:]).abs()
        band = network.stft(mono[:-1].sum(dim=0, keepdim=True)).abs()
        for middle in np.linspace(BLOCK // 4, mix.shape[-1] - BLOCK // 4, BLOCKS_A_MIX).astype(int):
            blocks.append(block(mix, int(middle))[0])
            truths.append((voice > band)[0, :, int(middle)].float())
    return torch.stack(blocks), torch.stack(truths)


def loss(network: MaskCnn, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Binary cross-entropy of the mask."""
    return functional.binary_cross_entropy_with_logits(network.logits(batch[0]), batch[1])
