"""The training loop of the separators: AdamW, learning-rate schedule, EMA of the weights, resumable checkpoints."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.core.progress import UNWATCHED, Watch
from models.separation.training.mixtures import Example


@dataclass(frozen=True)
class TrainSettings:
    """`steps` in all; `batch` mixes a step; `rate` is the peak learning rate, reached after `warm` steps.

    Each round draws `fresh` batches and goes through them `echo` times in random order, since drawing a batch costs as
    much as a training step (Choi et al., "Faster Neural Network Training with Data Echoing", 2019). The rate is
    constant until the last `cool` part of the steps (0..1), over which it falls linearly to zero. `ema_decay` is that
    of the exponential moving average of the weights, which is the result.
    """

    steps: int
    batch: int = 4
    rate: float = 1.5e-3
    warm: int = 50
    cool: float = 0.6
    ema_decay: float = 0.995
    fresh: int = 8
    echo: int = 2

    @property
    def round(self) -> int:
        """Steps in a round; a checkpoint is written after each."""
        return self.fresh * self.echo


Optimizer = Callable[[Iterator[nn.Parameter], float], torch.optim.Optimizer]
"""Makes an optimizer from a network's parameters and a learning rate."""


def adamw(parameters: Iterator[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """AdamW with beta2 0.99."""
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)


@dataclass(frozen=True)
class Learner:
    """A network with what its training needs: `draw` makes an example, `prepare` a batch of examples for `loss`."""

    network: nn.Module
    draw: Callable[[np.random.Generator], Example]
    prepare: Callable[[list[Example]], Any]
    loss: Callable[[Any], Tensor]
    optimizer: Optimizer = adamw


def train(
    learner: Learner, settings: TrainSettings, seed: int, checkpoint: Path, watch: Watch = UNWATCHED
) -> Iterator[tuple[int, float]]:
    """Train the learner's network in place, yielding (step, loss) after each step; at the end it has the EMA weights.

    Resumes from `checkpoint` if there is one and rewrites it after every round; a round depends only on the seed and
    its first step, so a resumed run gives the same weights as an uninterrupted one.
    """
    network = learner.network
    optimizer = learner.optimizer(network.parameters(), settings.rate)
    average = {key: value.clone() for key, value in network.state_dict().items()}
    step = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        average, step = state["average"], int(state["step"])
    network.train()
    while step < settings.steps:
        for batch in _round(learner, settings, seed, step):
            watch.at(step / settings.steps)
            value = _step(network, optimizer, learner.loss(batch), settings.rate * _schedule(step, settings))
            decay = min(settings.ema_decay, (step + 1) / (step + 10))
            for key, parameter in network.state_dict().items():
                average[key].lerp_(parameter, 1 - decay)
            step += 1
            yield step, value
        _save(checkpoint, network, optimizer, average, step)
    network.load_state_dict(average)
    network.eval()


def _round(learner: Learner, settings: TrainSettings, seed: int, step: int) -> Iterator[Any]:
    """The batches of the round that starts at `step`: as they are drawn, then again in random order."""
    batches = []
    for index in range(settings.fresh):
        rngs = [np.random.default_rng((seed, step + index, item)) for item in range(settings.batch)]
        batches.append(learner.prepare([learner.draw(rng) for rng in rngs]))
        yield batches[-1]
    order = np.random.default_rng((seed, step))
    for _ in range(settings.echo - 1):
        for index in order.permutation(settings.fresh):
            yield batches[index]


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, value: Tensor, rate: float) -> float:
    """One optimizer step with gradient clipping; returns the loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return value.item()


def ema_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The EMA weights in a checkpoint."""
    state: dict[str, Tensor] = torch.load(checkpoint, weights_only=True)["average"]
    return state


def _schedule(step: int, settings: TrainSettings) -> float:
    """The learning rate at a step relative to its peak."""
    left = max(settings.steps - step, 1) / max(settings.cool * settings.steps, 1)
    return min(1.0, (step + 1) / settings.warm, left)


def _save(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor], step: int
) -> None:
    part = path.with_suffix(".part")
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "average": average, "step": step}
    torch.save(state, part)
    part.replace(path)
