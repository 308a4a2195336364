"""Training the beat tracker on songs whose beats are known: resumable after a kill, averaged weights to ship."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.analysis.beat_tracker.inference import FPS, Halves
from models.analysis.beat_tracker.network import STEMS, BeatTracker
from models.analysis.chroma import NOTES
from models.core.progress import UNWATCHED, Watch

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Example:
    """A song as the network is given it, shape (frames, features), and when its beats and downbeats are, in seconds."""

    features: Halves
    beats_s: Doubles
    downbeats_s: Doubles


@dataclass(frozen=True)
class Recipe:
    """How to train, and how songs are varied.

    `steps` on windows of `frames` frames, `batch` at a time, at `rate`, which falls to zero over the last half. A song
    is heard up to `stretch` (a natural logarithm) faster or slower; with the probability `waltz` a beat of each bar is
    left out, so that bars of three are known, too; with `missing` a stem is silent; keys are moved by up to `keys`
    semitones, and stems are louder or softer by a factor spread by `gain` (a natural logarithm).
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
    """A network being trained; `run` carries on from the last checkpoint in `folder`, if there is one."""

    def __init__(self, examples: Sequence[Example], held_out: Sequence[Example], recipe: Recipe, folder: Path) -> None:
        self.examples, self.held_out, self.recipe, self.folder = examples, held_out, recipe, folder
        torch.manual_seed(recipe.seed)
        self.rng = np.random.default_rng(recipe.seed)
        self.network = BeatTracker()
        self.averaged = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.network.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
        self.step, self.seconds = 0, 0.0
        self._resume()

    def run(self, watch: Watch = UNWATCHED, every: int = 100) -> BeatTracker:
        """Train to the recipe's last step; returns a network with the averaged weights."""
        self.network.train()
        learned = []
        while self.step < self.recipe.steps:
            began = time.monotonic()
            learned.append(self._learn())
            self.seconds += time.monotonic() - began
            watch.at(self.step / self.recipe.steps)
            if self.step % every == 0 or self.step == self.recipe.steps:
                row = {"step": self.step, "seconds": round(self.seconds), "loss": float(np.mean(learned))}
                self._save()
                with open(self.folder / "log.jsonl", "a") as file:
                    file.write(json.dumps(row | {"held_out_loss": self.examined()}) + "\n")
                learned = []
        return self.trained()

    def trained(self) -> BeatTracker:
        """A network with the averaged weights."""
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and then not used
            network = BeatTracker(**self.network.sizes)
        network.load_state_dict(self.averaged)
        return network.eval()

    def examined(self) -> float:
        """The mean loss on the songs held out."""
        network, losses = self.trained(), []
        with torch.inference_mode():
            for example in self.held_out:
                known = _known_frames(example.beats_s, len(example.features))
                said = network(torch.from_numpy(example.features.T.astype(np.float32))[None])
                wanted = torch.from_numpy(targets(example.beats_s, example.downbeats_s, len(example.features)))
                losses.append(float(loss(said, wanted[None], torch.from_numpy(known)[None])))
        return float(np.mean(losses))

    def _learn(self) -> float:
        recipe = self.recipe
        chosen = self.rng.integers(len(self.examples), size=recipe.batch).tolist()
        drawn = [varied(self.examples[i], recipe, self.rng) for i in chosen]
        given, wanted, known = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate * min(1.0, (self.step + 1) / 100, 2 * (1 - self.step / recipe.steps))
        found = loss(self.network(given), wanted, known)
        self.optimiser.zero_grad()
        torch.autograd.backward(found)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(0.99, self.step / (self.step + 20))
        for name, value in self.network.state_dict().items():
            self.averaged[name].lerp_(value, 1 - keep)
        return float(found.detach())

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
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
        self.averaged = state["averaged"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch"])
        self.step, self.seconds = state["progress"]


def loss(said: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """The cross-entropy a frame of beats and downbeats, where they are `known`."""
    each = functional.binary_cross_entropy_with_logits(said, wanted, reduction="none")
    return (each * known[:, None]).sum() / known.sum() / 2


def targets(beats_s: Doubles, downbeats_s: Doubles, frames: int) -> Floats:
    """1 in the frames within one of a beat (a downbeat), else 0. Shape: (2, frames)."""
    wanted = np.zeros((2, frames), np.float32)
    for row, times in zip(wanted, (beats_s, downbeats_s), strict=True):
        at = np.round(times * FPS).astype(int)
        near = (at[:, None] + np.arange(-1, 2)).ravel()
        row[near[(near >= 0) & (near < frames)]] = 1
    return wanted


def varied(example: Example, recipe: Recipe, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """A window of a song as another band might have played it: what is given, what is wanted, where that is known."""
    beats, downs = example.beats_s, example.downbeats_s
    frames = np.arange(min(len(example.features), int((beats[-1] + 0.1) * FPS)), dtype=np.float64)
    if rng.random() < recipe.waltz:
        frames, beats, downs = without_last_beats(frames, beats, downs)
    scale = float(np.exp(rng.uniform(-recipe.stretch, recipe.stretch))) if rng.random() < 0.5 else 1.0
    frames = np.interp(np.arange(int(len(frames) * scale)) / scale, np.arange(len(frames)), frames)
    start = int(rng.integers(max(len(frames) - recipe.frames, 0) + 1))
    places = frames[start : start + recipe.frames]
    low = places.astype(int)
    high, share = np.minimum(low + 1, len(example.features) - 1), (places - low)[:, None].astype(np.float32)
    given = (example.features[low] * (1 - share) + example.features[high] * share).T.astype(np.float32)
    wanted = targets(beats * scale - start / FPS, downs * scale - start / FPS, len(places))
    _revoice(given, recipe, rng)
    lacking = recipe.frames - len(places)
    known = np.pad(np.ones(len(places), np.float32), (0, lacking))
    return np.pad(given, ((0, 0), (0, lacking))), np.pad(wanted, ((0, 0), (0, lacking))), known


def without_last_beats(frames: Doubles, beats_s: Doubles, downs_s: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """A song without the last beat of each bar: the frames that stay, and the beats and downbeats on them."""
    times = frames / FPS
    after = np.searchsorted(downs_s, beats_s + 1e-6)
    last = np.array([i + 1 < len(beats_s) and after[i + 1] > after[i] for i in range(len(beats_s))]) & (after > 0)
    place = np.searchsorted(beats_s, times + 1e-6) - 1
    stays = (place < 0) | ~last[np.maximum(place, 0)]
    kept = np.cumsum(stays)
    moved = [np.interp(t, times, (kept - stays) / FPS) for t in (beats_s[~last], downs_s)]
    return frames[stays], moved[0], moved[1]


def _revoice(given: Floats, recipe: Recipe, rng: np.random.Generator) -> None:
    """Other balance, another key, perhaps a stem that is silent: changed in place."""
    size = (len(given) - NOTES) // STEMS
    for stem in range(STEMS):
        given[stem * size : (stem + 1) * size] *= np.exp(rng.normal(0, recipe.gain))
    given[-NOTES:] = np.roll(given[-NOTES:], int(rng.integers(-recipe.keys, recipe.keys + 1)), axis=0)
    if rng.random() < recipe.missing:
        stem = int(rng.choice(STEMS, p=(0.6, 0.2, 0.2)))
        given[stem * size : (stem + 1) * size] = 0


def _known_frames(beats_s: Doubles, frames: int) -> Floats:
    """1 up to the last beat that is known."""
    return np.asarray(np.arange(frames) <= beats_s[-1] * FPS, np.float32)
