"""The training loop of every network, as audiocraft's solver: steps, checkpoints, EMA, schedules, curve, validation.

A `Training` is what differs: its networks, batches, losses, optimizers and validation. `Solver.train` does the rest. A
step depends on its number and on the parts of the training that a checkpoint holds, so a run that was killed and
resumed gives the same weights, to the bit on one CPU thread, as one that was not. Only trainings import this module.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.core.curve import CURVE_FILE, LossMeans, Row, append_row
from models.core.progress import UNWATCHED, Watch

CHECKPOINT_FILE = "checkpoint.pt"
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class EmaSettings:
    """An exponential moving average of the weights, with the decay min(`decay`, n / (n + `warmup`)) at the nth step."""

    decay: float
    warmup: int


@dataclass(frozen=True)
class SolverSettings:
    """How long a training runs, and after how many steps what is done.

    It ends after `steps` steps or, where `seconds` is not 0, after so much training time. A row of the curve is written
    every `log_every` steps, a checkpoint every `checkpoint_every`; both, and a validation, also after the last step and
    wherever a validation is due. `validate_every` 0 is for trainings without one.
    """

    steps: int
    seconds: float = 0.0
    checkpoint_every: int = 100
    log_every: int = 25
    validate_every: int = 0
    ema: EmaSettings | None = None


def _unreported(row: Row) -> None:
    return None


@dataclass(frozen=True)
class TrainingRun:
    """Where a training keeps its checkpoint and curve, and who follows it: `report` gets each row of the curve."""

    folder: Path
    watch: Watch = UNWATCHED
    report: Callable[[Row], None] = field(default=_unreported)
    device: str = "cpu"

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT_FILE

    @property
    def curve(self) -> Path:
        return self.folder / CURVE_FILE


class Progress(NamedTuple):
    """The steps done, and the share of the training that is done, 1 at its end."""

    step: int
    fraction: float


class Validation(NamedTuple):
    """Metrics by name, for the curve, and whether to stop early."""

    metrics: Mapping[str, float] = {}
    stop: bool = False


class Stateful(Protocol):
    """What a checkpoint can hold: networks, optimizers, random generators."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class Optimization:
    """Optimizers that step together on one loss.

    The learning rates they come with are multiplied by `schedule(progress)` at each step; the gradients of the
    parameters `clipped` are scaled to a common norm of at most `max_norm`.
    """

    def __init__(
        self,
        *optimizers: torch.optim.Optimizer,
        schedule: Callable[[Progress], float] | None = None,
        clipped: Iterable[nn.Parameter] = (),
        max_norm: float = 1.0,
    ) -> None:
        self.optimizers, self.schedule = optimizers, schedule
        self.clipped, self.max_norm = list(clipped), max_norm
        self._peaks = [[float(group["lr"]) for group in optimizer.param_groups] for optimizer in optimizers]

    def set_learning_rates(self, progress: Progress) -> None:
        """The rates of the next step."""
        if self.schedule is None:
            return
        factor = self.schedule(progress)
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor

    def minimize(self, loss: Tensor) -> None:
        """One step of each optimizer on a loss."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.clipped:
            nn.utils.clip_grad_norm_(self.clipped, self.max_norm)
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        for optimizer, state in zip(self.optimizers, state_dict["optimizers"], strict=True):
            optimizer.load_state_dict(state)


class Training(ABC, Generic[Network]):
    """What the solver trains: `network`, of which the EMA is taken, by `optimizations`."""

    network: Network
    optimizations: Mapping[str, Optimization]

    @abstractmethod
    def step(self, progress: Progress) -> Mapping[str, float]:
        """Draw a batch and minimize its losses; returns them by name."""

    def parts(self) -> Mapping[str, Stateful]:
        """What a checkpoint holds beside `network` and the optimizers: further networks, random generators."""
        return {}

    def validate(self, step: int, averaged: nn.Module) -> Validation:
        """Validate after so many steps. `averaged` is the network with the EMA weights, where the solver has them.

        A run resumed where a validation was due repeats it, since it may have been killed before its end.
        """
        return Validation()


class Solver:
    """A training with its state; made anew for the same folder it resumes from the last checkpoint there."""

    def __init__(self, training: Training[Any], settings: SolverSettings, run: TrainingRun) -> None:
        self.training, self.settings, self.run = training, settings, run
        self.step, self.seconds = 0, 0.0
        self._means = LossMeans()
        self._ema = None if settings.ema is None else averaged_model(training.network, settings.ema)
        self._stateful: dict[str, Stateful] = {"network": training.network, **training.parts()}
        self._stateful |= {f"optimization {name}": one for name, one in training.optimizations.items()}
        if self._ema is not None:
            self._stateful["ema"] = self._ema
        run.folder.mkdir(parents=True, exist_ok=True)
        if run.checkpoint.is_file():
            self._load()

    @property
    def averaged(self) -> nn.Module:
        """The network with the EMA weights, or the trained one where no average is taken."""
        if self._ema is None:
            trained: nn.Module = self.training.network
            return trained
        module: nn.Module = self._ema.module
        return module

    @property
    def progress(self) -> Progress:
        """How far the training is."""
        done, end = (self.seconds, self.settings.seconds) if self.settings.seconds else (self.step, self.settings.steps)
        return Progress(self.step, done / end if end else 1.0)

    def train(self) -> None:
        """Train to the last step or until a validation stops it."""
        self._set_training_mode(True)
        stop = self.step > 0 and self._validation_due() and self._validate()
        while not stop and self.progress.fraction < 1:
            self.run.watch.at(self.progress.fraction)
            started = time.monotonic()
            self._train_step()
            self.seconds += time.monotonic() - started
            stop = self._after_step()
        self._set_training_mode(False)

    def _train_step(self) -> None:
        progress = self.progress
        for optimization in self.training.optimizations.values():
            optimization.set_learning_rates(progress)
        self._means.add(self.training.step(progress))
        if self._ema is not None:
            self._ema.update_parameters(self.training.network)
        self.step += 1

    def _after_step(self) -> bool:
        """Log, save and validate what is due; returns whether to stop."""
        due, last = self._validation_due(), self.progress.fraction >= 1
        if due or last or self.step % self.settings.log_every == 0:
            self._log({"seconds": round(self.seconds), **self._means.take()})
        if due or last or self.step % self.settings.checkpoint_every == 0:
            self._save()
        return due and self._validate()

    def _validation_due(self) -> bool:
        every = self.settings.validate_every
        return every > 0 and (self.step % every == 0 or self.progress.fraction >= 1)

    def _validate(self) -> bool:
        metrics, stop = self.training.validate(self.step, self.averaged)
        if metrics:
            self._log(metrics)
        return stop

    def _log(self, values: Mapping[str, float]) -> None:
        row = {"step": self.step, **values}
        append_row(self.run.curve, row)
        self.run.report(row)

    def _set_training_mode(self, training: bool) -> None:
        for name, part in self._stateful.items():
            if isinstance(part, nn.Module) and name != "ema":
                part.train(training)

    def _save(self) -> None:
        state = {name: part.state_dict() for name, part in self._stateful.items()}
        write_atomically({**state, "step": self.step, "seconds": self.seconds}, self.run.checkpoint)

    def _load(self) -> None:
        state = torch.load(self.run.checkpoint, weights_only=True, map_location="cpu")
        for name, part in self._stateful.items():
            part.load_state_dict(state[name])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def averaged_model(network: nn.Module, settings: EmaSettings) -> AveragedModel:
    """The average of a network's parameters and buffers; it starts with what they are now."""

    def ema_update(averaged: Any, current: Any, count: Tensor | int) -> None:
        decay = min(settings.decay, int(count) / (int(count) + settings.warmup))
        get_ema_multi_avg_fn(decay)(averaged, current, count)  # type: ignore[no-untyped-call]

    model = AveragedModel(network, multi_avg_fn=ema_update, use_buffers=True)
    model.update_parameters(network)
    model.eval()
    return model


def ema_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The EMA weights in a checkpoint, by their names in the network."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")["ema"]
    return {name.removeprefix("module."): tensor for name, tensor in state.items() if name != "n_averaged"}


def write_atomically(state: Mapping[str, Any], path: Path) -> None:
    """`torch.save` that leaves the old file or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
