"""Training of the Music Transformer: losses of the next event, Muon for matrices, AdamW for the rest, an EMA."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.core import solver
from models.core.seeds import GlobalTorchState, NumpyGeneratorState
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
    slow elsewhere. An interruption loses at most `checkpoint_every` steps.
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
    checkpoint_every: int = 100


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


class TransformerTraining(solver.Training[MusicTransformer]):
    """A Music Transformer for the solver.

    It begins with the weights of `start`, a network of the recipe's shape, or with random ones. `transcribed` are
    training pieces with the pipeline's transcription of them: prompts with transcription noise are made from them.
    """

    def __init__(
        self,
        entries: list[Entry],
        recipe: Recipe,
        start: MusicTransformer | None = None,
        transcribed: Sequence[TranscribedPiece] = (),
    ) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        self.network = MusicTransformer(recipe.config)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.windows = Windows(entries, recipe.augmentation, recipe.seed, transcribed)
        self.optimizations = {"network": self._optimization()}
        losses = event_losses_bfloat16 if recipe.bfloat16 else event_losses
        self._losses = torch.compile(losses, dynamic=False) if recipe.compiled else losses
        self._length = 0
        self._batches: Iterator[tuple[Batch, Tensor, Tensor]] = iter(())

    def _optimization(self) -> solver.Optimization:
        """Muon for the layers' matrices, AdamW for the rest."""
        recipe = self.recipe
        matrices = [p for p in self.network.layers.parameters() if p.ndim == 2 and min(p.shape) > 16]
        matrix_ids = {id(p) for p in matrices}
        others = [p for p in self.network.parameters() if id(p) not in matrix_ids]
        return solver.Optimization(
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay),
            torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
            schedule=self._schedule,
            clipped=self.network.parameters(),
        )

    def parts(self) -> dict[str, solver.Stateful]:
        return {"rng": NumpyGeneratorState(self.windows.rng), "torch": GlobalTorchState()}

    def step(self, progress: solver.Progress) -> dict[str, float]:
        """A batch of windows, as long as the recipe has them by now."""
        recipe = self.recipe
        window = min([size for since, size in recipe.windows if since <= progress.fraction][-1], recipe.config.context)
        if window != self._length:
            self._length, self._batches = window, self.windows.batches(recipe.events // window, window)
        batch, families, loss_mask = next(self._batches)
        losses = self._losses(self.network, batch, families)
        nats = ((losses.event + losses.length) * loss_mask).sum()
        self.optimizations["network"].minimize(nats / loss_mask.sum())
        notes = (loss_mask & (batch.token[:, 1:] >= tokenizer.DRUM)).sum()
        return {
            "nats_per_event": float(nats.detach() / loss_mask.sum()),
            "nats_per_note": float(nats.detach() / notes),
            "length_nats": float((losses.length.detach() * loss_mask).sum() / notes),
            "accuracy": float((losses.correct & loss_mask).sum() / loss_mask.sum()),
        }

    def _schedule(self, progress: solver.Progress) -> float:
        """Warm-up, plateau, linear decay to zero."""
        left = (1 - progress.fraction) / max(self.recipe.cooldown, 1e-9)
        return min((progress.step + 1) / self.recipe.warmup, left, 1.0)


def solver_of(training: TransformerTraining, run: solver.TrainingRun) -> solver.Solver:
    """The solver of a training by its recipe; it resumes from the last checkpoint in the run's folder."""
    recipe = training.recipe
    plan = solver.SolverSettings(
        steps=recipe.steps,
        seconds=recipe.seconds,
        checkpoint_every=recipe.checkpoint_every,
        log_every=20,
        ema=solver.EmaSettings(recipe.average, warmup=9),
    )
    return solver.Solver(training, plan, run)
