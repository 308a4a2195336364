"""Seeds of training steps, and random states that a checkpoint holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class NumpyGeneratorState:
    """The state of a NumPy generator that a training draws from step after step."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def state_dict(self) -> dict[str, Any]:
        return dict(self._rng.bit_generator.state)

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        self._rng.bit_generator.state = state_dict


class GlobalTorchState:
    """torch's global random state on the CPU, for trainings that draw from it step after step."""

    def state_dict(self) -> dict[str, Any]:
        return {"state": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        torch.set_rng_state(state_dict["state"])


def torch_seed(seed: int, step: int) -> int:
    """A step's seed for torch, of the training's seed."""
    return seed * 1_000_003 + step


@contextmanager
def torch_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global random state, on the CPU and a device, set from a seed and restored afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
