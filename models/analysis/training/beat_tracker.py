"""Training of the beat tracker on annotated songs: augmentation, loss, EMA of the weights, checkpoints to resume
from."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.analysis.beat_tracker.inference import FPS
from models.analysis.beat_tracker.network import STEMS, BeatTracker
from models.analysis.chroma import NOTES
from models.core.dtypes import DoubleArray, FloatArray, HalfArray
from models.core.progress import UNWATCHED, Watch


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


class Trainer:
    """A network in training; `run` resumes from the last checkpoint in `folder`, if there is one."""

    def __init__(self, examples: Sequence[Example], held_out: Sequence[Example], recipe: Recipe, folder: Path) -> None:
        self.examples, self.held_out, self.recipe, self.folder = examples, held_out, recipe, folder
        torch.manual_seed(recipe.seed)
        self.rng = np.random.default_rng(recipe.seed)
        self.network = BeatTracker()
        self.ema = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.network.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
        self.step, self.seconds = 0, 0.0
        self._resume()

    def run(self, watch: Watch = UNWATCHED, every: int = 100) -> BeatTracker:
        """Train to the recipe's last step; returns a network with the EMA weights."""
        self.network.train()
        losses = []
        while self.step < self.recipe.steps:
            started = time.monotonic()
            losses.append(self._train_step())
            self.seconds += time.monotonic() - started
            watch.at(self.step / self.recipe.steps)
            if self.step % every == 0 or self.step == self.recipe.steps:
                row = {"step": self.step, "seconds": round(self.seconds), "loss": float(np.mean(losses))}
                self._save()
                with open(self.folder / "log.jsonl", "a") as file:
                    file.write(json.dumps(row | {"held_out_loss": self.held_out_loss()}) + "\n")
                losses = []
        return self.trained()

    def trained(self) -> BeatTracker:
        """A network with the EMA weights."""
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and then not used
            network = BeatTracker(**self.network.sizes)
        network.load_state_dict(self.ema)
        return network.eval()

    def held_out_loss(self) -> float:
        """The mean loss on the held-out songs."""
        network, losses = self.trained(), []
        with torch.inference_mode():
            for example in self.held_out:
                mask = _annotated_frames(example.beats_s, len(example.features))
                logits = network(torch.from_numpy(example.features.T.astype(np.float32))[None])
                labels = torch.from_numpy(targets(example.beats_s, example.downbeats_s, len(example.features)))
                losses.append(float(masked_loss(logits, labels[None], torch.from_numpy(mask)[None])))
        return float(np.mean(losses))

    def _train_step(self) -> float:
        recipe = self.recipe
        indices = self.rng.integers(len(self.examples), size=recipe.batch).tolist()
        windows = [augmented(self.examples[i], recipe, self.rng) for i in indices]
        inputs, labels, mask = (torch.from_numpy(np.stack(part)) for part in zip(*windows, strict=True))
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate * min(1.0, (self.step + 1) / 100, 2 * (1 - self.step / recipe.steps))
        loss = masked_loss(self.network(inputs), labels, mask)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(0.99, self.step / (self.step + 20))
        for name, value in self.network.state_dict().items():
            self.ema[name].lerp_(value, 1 - decay)
        return float(loss.detach())

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "averaged": self.ema,
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            "progress": (self.step, self.seconds),
        }
        torch.save(state, self.folder / "checkpoint.tmp")
        os.replace(self.folder / "checkpoint.tmp", self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.ema = state["averaged"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch"])
        self.step, self.seconds = state["progress"]


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
