"""Segments of several songs through a network in one forward pass, where songs are separated at the same time.

A GPU is hardly busier with eight segments than with two; so what several threads ask of one network at about the same
time is stacked, computed once, and handed back to each. Results differ from those alone in the last bits, as they do
between batch sizes, so this is for a GPU, whose batches are sized by its memory anyway.
"""

import threading
from concurrent.futures import Future
from typing import Any

import torch
from demucs.apply import BagOfModels
from torch import Tensor, nn

_WAIT_S = 0.005


class Packed(nn.Module):
    """A network for several threads: as the network itself, but calls that come together are one forward pass.

    `most` is how many segments one pass may have. `passes` counts the forward passes.
    """

    def __init__(self, network: nn.Module, most: int = 16) -> None:
        super().__init__()
        self.network = network
        self.most = most
        self.passes = 0
        self._lock = threading.Lock()
        self._waiting: list[tuple[Tensor, Future[Tensor]]] = []
        self._computing = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def forward(self, mix: Tensor) -> Tensor:
        """(B, channels, frames) -> (B, sources, channels, frames)."""
        answer: Future[Tensor] = Future()
        with self._lock:
            self._waiting.append((mix, answer))
        while not answer.done():
            if self._computing.acquire(timeout=_WAIT_S):
                try:
                    self._pass()
                finally:
                    self._computing.release()
        return answer.result()

    def _pass(self) -> None:
        """Compute what waits and fits: segments of one length, in the order of asking, at least one call."""
        with self._lock:
            if not self._waiting:
                return
            taken: list[tuple[Tensor, Future[Tensor]]] = []
            shape, count = self._waiting[0][0].shape[1:], 0
            left = []
            for call in self._waiting:
                fits = call[0].shape[1:] == shape and (not taken or count + len(call[0]) <= self.most)
                if fits:
                    taken.append(call)
                    count += len(call[0])
                else:
                    left.append(call)
            self._waiting = left
        try:
            found = self.network(torch.cat([mix for mix, _ in taken]))
            self.passes += 1
            parts = found.split([len(mix) for mix, _ in taken])
        except Exception as error:
            for _, answer in taken:
                answer.set_exception(error)
            return
        for (_, answer), part in zip(taken, parts, strict=True):
            answer.set_result(part)


def packed(network: nn.Module) -> nn.Module:
    """The network, or each of a bag's networks, for several threads."""
    if isinstance(network, BagOfModels):
        network.models = nn.ModuleList([Packed(one) for one in network.models])
        return network
    return Packed(network)
