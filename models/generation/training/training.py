"""Training: Muon for matrices, AdamW for the rest, an EMA of the weights to ship, checkpoints to resume from."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.core.progress import UNWATCHED, Watch
from models.generation import tokenizer
from models.generation.network import Batch, Config, MusicTransformer
from models.generation.training.corpus import Entry
from models.generation.training.transcription_noise import TranscribedPiece
from models.generation.training.windows import Augmentation, Windows


@dataclass(frozen=True)
class Recipe:
    """Training hyperparameters: `steps` steps or, where `seconds` is not 0, so much training time.

    `events` is the batch in events, drawn as `windows`: (from which share of the training on, events a window), never
    longer than the context. `matrix_rate` and `other_rate` are the learning rates of Muon and AdamW; `warmup` in steps,
    `cooldown` the share of the training over which the rates fall to zero; `average` the decay a step of the weights'
    EMA. `bfloat16` computes matrix products in that precision: twice as fast where the processor has them in hardware,
    slow elsewhere.
    """

    config: Config = field(default_factory=Config)
    augmentation: Augmentation = field(default_factory=Augmentation)
    steps: int = 4000
    seconds: float = 0.0
    events: int = 4096
    windows: tuple[tuple[float, int], ...] = ((0.0, 512), (0.5, 1024), (0.8, 2048))
    matrix_rate: float = 0.02
    other_rate: float = 0.003
    warmup: int = 100
    cooldown: float = 0.3
    weight_decay: float = 0.05
    average: float = 0.995
    seed: int = 0
    compiled: bool = True
    bfloat16: bool = False


class EventLosses(NamedTuple):
    """Losses of each next event: cross-entropy of its token and of its duration, and whether the argmax was right.

    Shapes: (B, T) of T + 1 events read.
    """

    event: Tensor
    length: Tensor
    correct: Tensor


def event_losses(network: MusicTransformer, batch: Batch, families: Tensor) -> EventLosses:
    """The losses of each next event, in nats.

    `families` (B, F) bool are those to be written; tokens outside the grammar are masked.
    """
    past = Batch(*(getattr(batch, f)[:, :-1] for f in Batch.__dataclass_fields__))
    target, length = batch.token[:, 1:], batch.duration[:, 1:]
    hidden = network(past)
    table = network.table()
    logits = network.token_logits(hidden, table)
    logits = logits.masked_fill(~batch_grammar_mask(past, families, target), float("-inf"))
    token_loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    lengths = network.length_logits(hidden, target, table)
    length_loss = F.cross_entropy(lengths.flatten(0, 1), length.flatten(), reduction="none").view_as(target)
    return EventLosses(token_loss, length_loss * (target >= tokenizer.NOTE), logits.detach().argmax(-1) == target)


def event_losses_bfloat16(network: MusicTransformer, batch: Batch, families: Tensor) -> EventLosses:
    """`event_losses` with its matrix products in bfloat16; the weights stay in single precision."""
    with torch.autocast(batch.token.device.type, torch.bfloat16):
        return event_losses(network, batch, families)


def batch_grammar_mask(past: Batch, families: Tensor, target: Tensor) -> Tensor:
    """`tokenizer.grammar_mask` on tensors, with the target always allowed (conditions do not follow the grammar).

    Shape: (B, T, vocabulary).
    """
    token_ids = torch.arange(tokenizer.VOCABULARY, device=target.device)
    family = torch.from_numpy(tokenizer.FAMILY_OF).clamp(min=0).to(target.device)
    token, tick, bar_ticks = past.token[..., None], past.tick[..., None], past.bar_ticks[..., None]
    after = torch.where(token >= tokenizer.DRUM, token, tokenizer.DRUM - 1)
    notes = (token_ids > after) & families[:, family][:, None]
    moves = (token_ids > tokenizer.POS + tick) & (token_ids < (tokenizer.POS + bar_ticks).clamp(max=tokenizer.CHORD))
    at_pos = (token > tokenizer.POS) & (token < tokenizer.CHORD)
    return torch.where(token_ids >= tokenizer.DRUM, notes, ~at_pos & ((token_ids == tokenizer.BAR) | moves)) | (
        token_ids == target[..., None]
    )


class Trainer:
    """A network in training; `run` resumes from the last checkpoint in `folder`, if there is one.

    Without one it begins with the weights of `start`, a network of the recipe's shape, or with random ones.
    `transcribed` are training pieces with the pipeline's transcription of them: prompts with transcription noise are
    made from them.
    """

    def __init__(
        self,
        entries: list[Entry],
        recipe: Recipe,
        folder: Path,
        start: MusicTransformer | None = None,
        transcribed: Sequence[TranscribedPiece] = (),
    ) -> None:
        self.recipe, self.folder = recipe, folder
        torch.manual_seed(recipe.seed)
        self.network = MusicTransformer(recipe.config)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.windows = Windows(entries, recipe.augmentation, recipe.seed, transcribed)
        matrices = [p for p in self.network.layers.parameters() if p.ndim == 2 and min(p.shape) > 16]
        matrix_ids = {id(p) for p in matrices}
        others = [p for p in self.network.parameters() if id(p) not in matrix_ids]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay),
            torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.rates = [recipe.matrix_rate, recipe.other_rate]
        self.step, self.seconds, self.events_seen = 0, 0.0, 0
        losses = event_losses_bfloat16 if recipe.bfloat16 else event_losses
        self.losses = torch.compile(losses, dynamic=False) if recipe.compiled else losses
        self._resume()

    def run(self, watch: Watch = UNWATCHED, save_every_s: float = 120.0) -> dict[str, Tensor]:
        """Train to the recipe's last step; returns the EMA weights."""
        recipe, saved = self.recipe, time.monotonic()
        batches, length = None, 0
        while self._progress() < 1:
            watch.at(self._progress())
            window = min(
                [size for since, size in recipe.windows if since <= self._progress()][-1], recipe.config.context
            )
            if batches is None or window != length:
                length = window
                batches = self.windows.batches(recipe.events // length, length)
            started = time.monotonic()
            figures = self._train_step(batches)
            self.seconds += time.monotonic() - started
            self.step += 1
            self.events_seen += recipe.events
            if self.step % 20 == 0:
                self._log({"step": self.step, "seen": self.events_seen, "seconds": round(self.seconds), **figures})
            if time.monotonic() - saved > save_every_s:
                saved = time.monotonic()
                self._save()
        self._save()
        return self.ema

    def _train_step(self, batches: Iterator[tuple[Batch, Tensor, Tensor]]) -> dict[str, float]:
        batch, families, loss_mask = next(batches)
        scale = self._rate_factor()
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * scale
        self.network.train()
        losses = self.losses(self.network, batch, families)
        nats = ((losses.event + losses.length) * loss_mask).sum()
        torch.autograd.backward(nats / loss_mask.sum())
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.ema[name].lerp_(value, 1 - decay)
        notes = (loss_mask & (batch.token[:, 1:] >= tokenizer.DRUM)).sum()
        return {
            "nats_per_event": round(float(nats.detach() / loss_mask.sum()), 4),
            "nats_per_note": round(float(nats.detach() / notes), 4),
            "length_nats": round(float((losses.length.detach() * loss_mask).sum() / notes), 4),
            "accuracy": round(float((losses.correct & loss_mask).sum() / loss_mask.sum()), 4),
        }

    def _progress(self) -> float:
        """The share of the training that is done, 1 at its end."""
        return self.seconds / self.recipe.seconds if self.recipe.seconds else self.step / self.recipe.steps

    def _rate_factor(self) -> float:
        """The factor on the learning rates at this step: warm-up, plateau, linear decay to zero."""
        left = (1 - self._progress()) / max(self.recipe.cooldown, 1e-9)
        return min((self.step + 1) / self.recipe.warmup, left, 1.0)

    def _log(self, row: dict[str, Any]) -> None:
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "averaged": self.ema,
            "optimisers": [o.state_dict() for o in self.optimisers],
            "rng": self.windows.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            "progress": (self.step, self.seconds, self.events_seen),
            "config": asdict(self.recipe.config),
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
        for optimiser, values in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(values)
        self.windows.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch"])
        self.step, self.seconds, self.events_seen = state["progress"]
