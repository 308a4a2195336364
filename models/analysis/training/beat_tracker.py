"""Training of the beat tracker on annotated songs: augmentation, loss, validation on held-out songs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.analysis.beat_tracker.inference import FPS
from models.analysis.beat_tracker.network import STEMS, BeatTracker
from models.analysis.chroma import NOTES
from models.core import solver
from models.core.dtypes import DoubleArray, FloatArray, HalfArray
from models.core.seeds import GlobalTorchState, NumpyGeneratorState


@dataclass(frozen=True, eq=False)
class Example:
    """A song's input features, shape (frames, features), and its beats and downbeats in seconds."""

    features: HalfArray
    beats_s: DoubleArray
    downbeats_s: DoubleArray


@dataclass(frozen=True)
class Recipe:
    """Training hyperparameters and augmentation.

    `steps` on windows of `frames` frames, `batch` at a time, at the learning rate `rate`, which falls to zero over the
    last half. Time stretch is up to `stretch` (a natural logarithm); with probability `waltz` a beat of each bar is
    removed, for bars of three; with `missing` a stem is silent; keys are shifted by up to `keys` semitones, and stems'
    gains have a standard deviation of `gain` (a natural logarithm).
    """

    steps: int = 5000
    frames: int = 2048
    batch: int = 8
    rate: float = 2e-3
    weight_decay: float = 0.01
    stretch: float = 0.2
    waltz: float = 0.12
    missing: float = 0.3
    keys: int = 4
    gain: float = 0.15
    seed: int = 0


class BeatTraining(solver.Training[BeatTracker]):
    """The beat tracker for the solver, in training on `examples` and validated on `held_out`."""

    def __init__(self, examples: Sequence[Example], held_out: Sequence[Example], recipe: Recipe) -> None:
        self.examples, self.held_out, self.recipe = examples, held_out, recipe
        torch.manual_seed(recipe.seed)
        self.rng = np.random.default_rng(recipe.seed)
        self.network = BeatTracker()
        optimizer = torch.optim.AdamW(self.network.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
        self.optimizations = {
            "network": solver.Optimization(optimizer, schedule=self._schedule, clipped=self.network.parameters())
        }

    def parts(self) -> dict[str, solver.Stateful]:
        return {"rng": NumpyGeneratorState(self.rng), "torch": GlobalTorchState()}

    def step(self, progress: solver.Progress) -> dict[str, float]:
        """A batch of augmented windows."""
        indices = self.rng.integers(len(self.examples), size=self.recipe.batch).tolist()
        windows = [augmented(self.examples[i], self.recipe, self.rng) for i in indices]
        inputs, labels, mask = (torch.from_numpy(np.stack(part)) for part in zip(*windows, strict=True))
        loss = masked_loss(self.network(inputs), labels, mask)
        self.optimizations["network"].minimize(loss)
        return {"loss": loss.item()}

    def validate(self, step: int, averaged: nn.Module) -> solver.Validation:
        return solver.Validation({"held_out_loss": self.held_out_loss(averaged)})

    def held_out_loss(self, network: nn.Module) -> float:
        """The mean loss of a network on the held-out songs."""
        losses, was_training = [], network.training
        network.eval()
        with torch.inference_mode():
            for example in self.held_out:
                mask = _annotated_frames(example.beats_s, len(example.features))
                logits = network(torch.from_numpy(example.features.T.astype(np.float32))[None])
                labels = torch.from_numpy(targets(example.beats_s, example.downbeats_s, len(example.features)))
                losses.append(float(masked_loss(logits, labels[None], torch.from_numpy(mask)[None])))
        network.train(was_training)
        return float(np.mean(losses))

    def _schedule(self, progress: solver.Progress) -> float:
        """Linear warm-up, and a linear fall to zero over the last half."""
        return min(1.0, (progress.step + 1) / 100, 2 * (1 - progress.step / self.recipe.steps))


def train(
    examples: Sequence[Example], held_out: Sequence[Example], recipe: Recipe, run: solver.TrainingRun, every: int = 100
) -> BeatTracker:
    """Train to the recipe's last step, validated every `every` steps; returns a network with the EMA weights."""
    plan = solver.SolverSettings(
        recipe.steps, validate_every=every, log_every=every, ema=solver.EmaSettings(0.99, warmup=20)
    )
    training = BeatTraining(examples, held_out, recipe)
    loop = solver.Solver(training, plan, run)
    loop.train()
    training.network.load_state_dict(loop.averaged.state_dict())
    return training.network.eval()


def masked_loss(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy a frame of beats and downbeats, over the frames of `mask`."""
    each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (each * mask[:, None]).sum() / mask.sum() / 2


def targets(beats_s: DoubleArray, downbeats_s: DoubleArray, frames: int) -> FloatArray:
    """1 in the frames within one of a beat (a downbeat), else 0. Shape: (2, frames)."""
    labels = np.zeros((2, frames), np.float32)
    for row, times in zip(labels, (beats_s, downbeats_s), strict=True):
        at = np.round(times * FPS).astype(int)
        near = (at[:, None] + np.arange(-1, 2)).ravel()
        row[near[(near >= 0) & (near < frames)]] = 1
    return labels


def augmented(example: Example, recipe: Recipe, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A window of a song, augmented: input features, targets, and the mask of annotated frames."""
    beats, downbeats = example.beats_s, example.downbeats_s
    frames = np.arange(min(len(example.features), int((beats[-1] + 0.1) * FPS)), dtype=np.float64)
    if rng.random() < recipe.waltz:
        frames, beats, downbeats = without_last_beats(frames, beats, downbeats)
    scale = float(np.exp(rng.uniform(-recipe.stretch, recipe.stretch))) if rng.random() < 0.5 else 1.0
    frames = np.interp(np.arange(int(len(frames) * scale)) / scale, np.arange(len(frames)), frames)
    start = int(rng.integers(max(len(frames) - recipe.frames, 0) + 1))
    positions = frames[start : start + recipe.frames]
    low = positions.astype(int)
    high, fraction = np.minimum(low + 1, len(example.features) - 1), (positions - low)[:, None].astype(np.float32)
    inputs = (example.features[low] * (1 - fraction) + example.features[high] * fraction).T.astype(np.float32)
    labels = targets(beats * scale - start / FPS, downbeats * scale - start / FPS, len(positions))
    _augment_features(inputs, recipe, rng)
    padding = recipe.frames - len(positions)
    mask = np.pad(np.ones(len(positions), np.float32), (0, padding))
    return np.pad(inputs, ((0, 0), (0, padding))), np.pad(labels, ((0, 0), (0, padding))), mask


def without_last_beats(
    frames: DoubleArray, beats_s: DoubleArray, downs_s: DoubleArray
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """A song without the last beat of each bar: the frames that stay, and the beats and downbeats on them."""
    times = frames / FPS
    after = np.searchsorted(downs_s, beats_s + 1e-6)
    last = np.array([i + 1 < len(beats_s) and after[i + 1] > after[i] for i in range(len(beats_s))]) & (after > 0)
    place = np.searchsorted(beats_s, times + 1e-6) - 1
    stays = (place < 0) | ~last[np.maximum(place, 0)]
    kept = np.cumsum(stays)
    shifted = [np.interp(t, times, (kept - stays) / FPS) for t in (beats_s[~last], downs_s)]
    return frames[stays], shifted[0], shifted[1]


def _augment_features(inputs: FloatArray, recipe: Recipe, rng: np.random.Generator) -> None:
    """Random stem gains, transposition and perhaps a silent stem: in place."""
    size = (len(inputs) - NOTES) // STEMS
    for stem in range(STEMS):
        inputs[stem * size : (stem + 1) * size] *= np.exp(rng.normal(0, recipe.gain))
    inputs[-NOTES:] = np.roll(inputs[-NOTES:], int(rng.integers(-recipe.keys, recipe.keys + 1)), axis=0)
    if rng.random() < recipe.missing:
        stem = int(rng.choice(STEMS, p=(0.6, 0.2, 0.2)))
        inputs[stem * size : (stem + 1) * size] = 0


def _annotated_frames(beats_s: DoubleArray, frames: int) -> FloatArray:
    """1 up to the last annotated beat."""
    return np.asarray(np.arange(frames) <= beats_s[-1] * FPS, np.float32)
