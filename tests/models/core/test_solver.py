"""The training loop: EMA, learning rates, clipping, the curve, validation, and resuming after a kill."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.core.curve import CURVE_FILE, read_rows
from models.core.progress import Watch
from models.core.seeds import GlobalTorchState, NumpyGeneratorState
from models.core.solver import (
    CHECKPOINT_FILE,
    EmaSettings,
    Optimization,
    Progress,
    Solver,
    SolverSettings,
    Stateful,
    Training,
    TrainingRun,
    Validation,
    ema_weights,
)

SETTINGS = SolverSettings(12, checkpoint_every=4, log_every=3, validate_every=5, ema=EmaSettings(0.9, warmup=9))


class Line(Training[nn.Linear]):
    """A line through noisy points; dropout draws from torch's global state."""

    def __init__(self, stop_at: int = 0) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(2, 1)
        self.rng = np.random.default_rng(0)
        self.stop_at, self.validated = stop_at, list[int]()
        self.history = [self.network.weight.detach().clone()]
        sgd = torch.optim.SGD(self.network.parameters(), 0.5, momentum=0.9)
        self.optimizations = {
            "line": Optimization(sgd, schedule=lambda at: 1 - at.fraction, clipped=self.network.parameters())
        }

    def parts(self) -> Mapping[str, Stateful]:
        return {"rng": NumpyGeneratorState(self.rng), "torch": GlobalTorchState()}

    def step(self, progress: Progress) -> dict[str, float]:
        points = torch.from_numpy(self.rng.random((8, 2), np.float32))
        loss = (self.network(nn.functional.dropout(points, 0.1)) - points.sum(dim=1, keepdim=True)).square().mean()
        self.optimizations["line"].minimize(100 * loss)
        self.history.append(self.network.weight.detach().clone())
        return {"loss": loss.item()}

    def validate(self, step: int, averaged: nn.Module) -> Validation:
        self.validated.append(step)
        return Validation({"weight": averaged.weight.sum().item()}, stop=step == self.stop_at)


class Killed(Exception):
    pass


def killed_at(step: int) -> Callable[[float], None]:
    def kill(fraction: float) -> None:
        if round(SETTINGS.steps * fraction) == step:
            raise Killed

    return kill


def test_a_run_killed_anywhere_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    whole = Line()
    Solver(whole, SETTINGS, TrainingRun(tmp_path / "whole")).train()
    assert not whole.network.training
    for kill_at in (1, 4, 7, 11):
        with pytest.raises(Killed):
            Solver(Line(), SETTINGS, TrainingRun(tmp_path / "cut", Watch(killed_at(kill_at)))).train()
    resumed = Line()
    Solver(resumed, SETTINGS, TrainingRun(tmp_path / "cut")).train()
    assert torch.equal(whole.network.weight, resumed.network.weight)
    one, other = (ema_weights(tmp_path / name / CHECKPOINT_FILE) for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows, again = (read_rows(tmp_path / name / CURVE_FILE) for name in ("whole", "cut"))
    assert [row["step"] for row in rows] == [row["step"] for row in again] == [3, 5, 6, 9, 10, 12]
    assert rows[1]["weight"] == again[1]["weight"]
    assert rows[-1].keys() == {"step", "seconds", "loss", "weight"}


def test_the_average_is_an_ema_whose_decay_warms_up(tmp_path: Path) -> None:
    training = Line()
    solver = Solver(training, SETTINGS, TrainingRun(tmp_path))
    solver.train()
    average = training.history[0]
    for n, weight in enumerate(training.history[1:], start=1):
        average = average.lerp(weight, 1 - min(0.9, n / (n + 9)))
    torch.testing.assert_close(solver.averaged.weight, average)


def test_a_validation_can_stop_it_for_good(tmp_path: Path) -> None:
    for made, validated in ((5, [5]), (0, [5])):
        training = Line(stop_at=5)
        Solver(training, SETTINGS, TrainingRun(tmp_path)).train()
        assert (len(training.history) - 1, training.validated) == (made, validated)


def test_gradients_are_clipped_and_rates_scheduled() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimization = Optimization(torch.optim.SGD([weight], 0.5), schedule=lambda at: 0.1 * at.step, clipped=[weight])
    optimization.set_learning_rates(Progress(4, 0.5))
    optimization.minimize((weight * torch.tensor([30.0, 40.0])).sum())
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.6, -0.8]) * 0.5 * 0.4)


def test_inference_does_not_import_the_solver() -> None:
    import subprocess
    import sys

    code = "import sys, tasks.stages.convert, tasks.stages.separate, tasks.stages.extend; "
    code += "sys.exit('models.core.solver' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
