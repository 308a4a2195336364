"""Segments of several songs through a network in one forward pass, where songs are separated at the same time.

A GPU is hardly busier with eight segments than with two; so what several threads ask of one network at about the same
time is stacked, computed once, and handed back to each. Results differ from those alone in the last bits, as they do
between batch sizes, so this is for a GPU, whose batches are sized by its memory anyway.
"""

import threading
import traceback
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from demucs.apply import BagOfModels
from torch import Tensor, nn

_WAIT_S = 0.005


@dataclass(eq=False)
class _Call:
    """What one thread asked for: a batch, the precision it is computed in, and the answer to come."""

    mix: Tensor
    reduced: torch.dtype | None
    answer: "Future[Tensor]" = field(default_factory=Future)

    @property
    def kind(self) -> tuple[Any, ...]:
        """Calls of one kind can share a pass."""
        return (*self.mix.shape[1:], self.reduced)


class Packed(nn.Module):
    """A network for several threads: as the network itself, but calls that come together are one forward pass.

    `most` is how many segments one pass may have; it is lowered where memory runs out. `passes` counts the passes.
    """

    def __init__(self, network: nn.Module, most: int = 16) -> None:
        super().__init__()
        self.network = network
        self.most = most
        self.passes = 0
        self._lock = threading.Lock()
        self._waiting: list[_Call] = []
        self._computing = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def forward(self, mix: Tensor) -> Tensor:
        """(B, channels, frames) -> (B, sources, channels, frames)."""
        call = _Call(mix, _reduced(mix.device.type))
        with self._lock:
            self._waiting.append(call)
        while not call.answer.done():
            if self._computing.acquire(timeout=_WAIT_S):
                try:
                    self._pass()
                finally:
                    self._computing.release()
        return call.answer.result()

    def _pass(self) -> None:
        """Compute what waits and fits: segments alike, in the order of asking, at least one call.

        Where several calls take more memory than there is, they wait again, for smaller passes.
        """
        taken = self._taken()
        if not taken:
            return
        count = sum(len(call.mix) for call in taken)
        try:
            parts = self._computed(taken).split_with_sizes([len(call.mix) for call in taken])
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold what was computed so far, and a call its error
            if isinstance(error, torch.OutOfMemoryError) and len(taken) > 1:
                self.most = max(count // 2, 1)
                with self._lock:
                    self._waiting = taken + self._waiting
            else:
                for call in taken:
                    call.answer.set_exception(error)
            return
        for call, part in zip(taken, parts, strict=True):
            call.answer.set_result(part)

    def _taken(self) -> list[_Call]:
        """The calls of the next pass, which wait no longer."""
        with self._lock:
            taken: list[_Call] = []
            for call in self._waiting:
                count = sum(len(other.mix) for other in taken) + len(call.mix)
                if not taken or (call.kind == taken[0].kind and count <= self.most):
                    taken.append(call)
            self._waiting = [call for call in self._waiting if call not in taken]
            return taken

    def _computed(self, taken: list[_Call]) -> Tensor:
        """All of it in one pass, in the precision that was asked for: autocast is a thread's own."""
        mixes, reduced = [call.mix for call in taken], taken[0].reduced
        with torch.autocast(mixes[0].device.type, reduced, enabled=reduced is not None):
            found: Tensor = self.network(torch.cat(mixes))
        self.passes += 1
        return found


def _reduced(device: str) -> torch.dtype | None:
    """The precision that this thread computes in on a device, None for float32."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def packed(network: nn.Module) -> nn.Module:
    """The network, or each of a bag's networks, for several threads."""
    if isinstance(network, BagOfModels):
        network.models = nn.ModuleList([Packed(one) for one in network.models])
        return network
    return Packed(network)
