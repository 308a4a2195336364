"""What the baseline learns from: blocks of mixes, and for the middle frame where the voice is the louder part."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.separation.networks.mask_cnn import BLOCK, MaskCnn, block
from models.separation.training.mixtures import Example

BLOCKS_A_MIX = 4


def adam(parameters: Iterator[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Plain Adam, without weight decay: what the design was trained with."""
    return torch.optim.Adam(parameters, lr=rate, fused=True)


@torch.no_grad()
def blocks_of(network: MaskCnn, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Blocks (N, 1025, 100) of the mono mixes, and the truth (N, 1025) of 0 and 1 in their middle frames.

    The voice is the last source of each; four blocks are taken of each example, evenly spread.
    """
    blocks, truths = [], []
    for example in examples:
        mono = torch.from_numpy(example.sources).mean(dim=1)  # (S, frames)
        mix = network.stft(mono.sum(dim=0, keepdim=True)).abs()
        voice = network.stft(mono[-1:]).abs()
        band = network.stft(mono[:-1].sum(dim=0, keepdim=True)).abs()
        for middle in np.linspace(BLOCK // 4, mix.shape[-1] - BLOCK // 4, BLOCKS_A_MIX).astype(int):
            blocks.append(block(mix, int(middle))[0])
            truths.append((voice > band)[0, :, int(middle)].float())
    return torch.stack(blocks), torch.stack(truths)


def loss(network: MaskCnn, precision: str, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Binary cross-entropy of the mask; the network computes in `precision`, "float32" or "bfloat16"."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        logits = network.logits(batch[0])
    return functional.binary_cross_entropy_with_logits(logits.float(), batch[1])


@torch.no_grad()
def held_out_loss(network: MaskCnn, batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The mean loss over fixed batches, to watch while training."""
    was = network.training
    network.eval()
    values = [loss(network, "float32", batch).item() for batch in batches]
    network.train(was)
    return {"held_out_loss": round(float(np.mean(values)), 4)}
