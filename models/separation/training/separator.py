"""Training of the separators: batches that are used several times, AdamW, learning-rate schedule, EMA."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.core import solver
from models.separation.training.mixtures import Example

VALIDATION_ROUNDS = 4
"""Rounds from one validation to the next."""


@dataclass(frozen=True)
class TrainSettings:
    """`steps` in all; `batch` mixes a step; `rate` is the peak learning rate, reached after `warm` steps.

    Each round draws `fresh` batches and goes through them `echo` times in random order, since drawing a batch costs as
    much as a training step (Choi et al., "Faster Neural Network solver.Training with Data Echoing", 2019). The rate is
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
        """Steps in a round; a checkpoint is written after each, and the last round is a whole one."""
        return self.fresh * self.echo


Optimizer = Callable[[Iterator[nn.Parameter], float], torch.optim.Optimizer]
"""Makes an optimizer from a network's parameters and a learning rate."""


def adamw(parameters: Iterator[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """AdamW with beta2 0.99."""
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)


@dataclass(frozen=True)
class Learner:
    """A network with what its training needs.

    `draw` makes an example, `prepare` a batch of examples for `loss`; `metrics` validates the network.
    """

    network: nn.Module
    draw: Callable[[np.random.Generator], Example]
    prepare: Callable[[list[Example]], Any]
    loss: Callable[[Any], Tensor]
    optimizer: Optimizer = adamw
    metrics: Callable[[], Mapping[str, float]] = dict


class SeparatorTraining(solver.Training[nn.Module]):
    """A learner for the solver; a round of batches depends only on the seed and the round's first step."""

    def __init__(self, learner: Learner, settings: TrainSettings, seed: int) -> None:
        self.learner, self.settings, self.seed = learner, settings, seed
        self.network = learner.network
        optimizer = learner.optimizer(self.network.parameters(), settings.rate)
        self.optimizations = {
            "network": solver.Optimization(optimizer, schedule=self._schedule, clipped=self.network.parameters())
        }
        self._batches: Iterator[Any] = iter(())

    def step(self, progress: solver.Progress) -> dict[str, float]:
        """The next batch of the round."""
        if progress.step % self.settings.round == 0:
            self._batches = self._round(progress.step)
        loss = self.learner.loss(next(self._batches))
        self.optimizations["network"].minimize(loss)
        return {"loss": loss.item()}

    def validate(self, step: int, averaged: nn.Module) -> solver.Validation:
        return solver.Validation(self.learner.metrics())

    def _round(self, step: int) -> Iterator[Any]:
        """The batches of the round that starts at `step`: as they are drawn, then again in random order."""
        batches = []
        for index in range(self.settings.fresh):
            rngs = [np.random.default_rng((self.seed, step + index, item)) for item in range(self.settings.batch)]
            batches.append(self.learner.prepare([self.learner.draw(rng) for rng in rngs]))
            yield batches[-1]
        order = np.random.default_rng((self.seed, step))
        for _ in range(self.settings.echo - 1):
            for index in order.permutation(self.settings.fresh):
                yield batches[index]

    def _schedule(self, progress: solver.Progress) -> float:
        """The learning rate relative to its peak."""
        steps = self.settings.steps
        left = max(steps - progress.step, 1) / max(self.settings.cool * steps, 1)
        return min(1.0, (progress.step + 1) / self.settings.warm, left)


def train(learner: Learner, settings: TrainSettings, seed: int, run: solver.TrainingRun) -> None:
    """Train the learner's network in place; at the end it has the EMA weights."""
    rounds = -(-settings.steps // settings.round)
    plan = solver.SolverSettings(
        steps=rounds * settings.round,
        checkpoint_every=settings.round,
        log_every=settings.round,
        validate_every=VALIDATION_ROUNDS * settings.round,
        ema=solver.EmaSettings(settings.ema_decay, warmup=9),
    )
    loop = solver.Solver(SeparatorTraining(learner, settings, seed), plan, run)
    loop.train()
    learner.network.load_state_dict(loop.averaged.state_dict())
