"""Training of the MaskCnn baseline: magnitude blocks, binary mask labels of their middle frames, cross-entropy."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.separation.networks.mask_cnn import BLOCK, MaskCnn, block
from models.separation.training.mixtures import Example

BLOCKS_A_MIX = 4


def adam(parameters: Iterator[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Adam without weight decay, as the original design was trained."""
    return torch.optim.Adam(parameters, lr=rate, fused=True)


@torch.no_grad()
def blocks_of(network: MaskCnn, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Blocks (N, 1025, 100) of the mono mixes, and labels (N, 1025), 0 or 1, of their middle frames.

    A label is 1 where vocals, the last source, are louder than the rest. Four evenly spaced blocks an example.
    """
    blocks, labels = [], []
    for example in examples:
        mono = torch.from_numpy(example.sources).mean(dim=1)  # (S, frames)
        mix = network.stft(mono.sum(dim=0, keepdim=True)).abs()
        voice = network.stft(mono[-1:]).abs()
        band = network.stft(mono[:-1].sum(dim=0, keepdim=True)).abs()
        for middle in np.linspace(BLOCK // 4, mix.shape[-1] - BLOCK // 4, BLOCKS_A_MIX).astype(int):
            blocks.append(block(mix, int(middle))[0])
            labels.append((voice > band)[0, :, int(middle)].float())
    return torch.stack(blocks), torch.stack(labels)


def loss(network: MaskCnn, precision: str, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Binary cross-entropy of the mask; the network computes in `precision`, "float32" or "bfloat16"."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        logits = network.logits(batch[0])
    return functional.binary_cross_entropy_with_logits(logits.float(), batch[1])


@torch.no_grad()
def held_out_loss(network: MaskCnn, batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The mean validation loss over fixed batches."""
    was_training = network.training
    network.eval()
    values = [loss(network, "float32", batch).item() for batch in batches]
    network.train(was_training)
    return {"held_out_loss": round(float(np.mean(values)), 4)}
