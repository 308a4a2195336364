"""Dynamic batching: segments of concurrently separated songs are stacked into one forward pass of a shared network.

A GPU takes hardly longer for eight segments than for two. Results differ in the last bits from those of a song
separated alone, as they do between batch sizes, so this is for a GPU, whose batches are sized by its memory anyway.
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
class _Request:
    """One thread's batch, its precision, and the future of its sources."""

    mix: Tensor
    autocast_dtype: torch.dtype | None
    result_future: "Future[Tensor]" = field(default_factory=Future)

    @property
    def batch_key(self) -> tuple[Any, ...]:
        """Requests of equal key can share a forward pass."""
        return (*self.mix.shape[1:], self.autocast_dtype)


class BatchedNetwork(nn.Module):
    """Wraps a network that several threads call; simultaneous calls share one forward pass.

    `max_segments` limits one pass; it is halved on `OutOfMemoryError`. `passes` counts the forward passes.
    """

    def __init__(self, network: nn.Module, max_segments: int = 16) -> None:
        super().__init__()
        self.network = network
        self.max_segments = max_segments
        self.passes = 0
        self._lock = threading.Lock()
        self._queue: list[_Request] = []
        self._pass_lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def forward(self, mix: Tensor) -> Tensor:
        """(B, channels, frames) -> (B, sources, channels, frames)."""
        request = _Request(mix, _autocast_dtype(mix.device.type))
        with self._lock:
            self._queue.append(request)
        while not request.result_future.done():
            if self._pass_lock.acquire(timeout=_WAIT_S):
                try:
                    self._run_batch()
                finally:
                    self._pass_lock.release()
        return request.result_future.result()

    def _run_batch(self) -> None:
        """Compute the next batch of queued requests and resolve their futures.

        On `OutOfMemoryError` several requests are put back in the queue, for smaller passes.
        """
        requests = self._next_batch()
        if not requests:
            return
        count = sum(len(request.mix) for request in requests)
        try:
            parts = self._forward(requests).split_with_sizes([len(request.mix) for request in requests])
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # its frames keep the batch's tensors alive
            if isinstance(error, torch.OutOfMemoryError) and len(requests) > 1:
                self.max_segments = max(count // 2, 1)
                with self._lock:
                    self._queue = requests + self._queue
            else:
                for request in requests:
                    request.result_future.set_exception(error)
            return
        for request, part in zip(requests, parts, strict=True):
            request.result_future.set_result(part)

    def _next_batch(self) -> list[_Request]:
        """Remove from the queue the requests of the next pass: equal in key, oldest first, at least one."""
        with self._lock:
            requests: list[_Request] = []
            for request in self._queue:
                count = sum(len(other.mix) for other in requests) + len(request.mix)
                if not requests or (request.batch_key == requests[0].batch_key and count <= self.max_segments):
                    requests.append(request)
            self._queue = [request for request in self._queue if request not in requests]
            return requests

    def _forward(self, requests: list[_Request]) -> Tensor:
        """All requests in one forward pass, in their precision: autocast state is local to a thread."""
        mixes, dtype = [request.mix for request in requests], requests[0].autocast_dtype
        with torch.autocast(mixes[0].device.type, dtype, enabled=dtype is not None):
            output: Tensor = self.network(torch.cat(mixes))
        self.passes += 1
        return output


def _autocast_dtype(device: str) -> torch.dtype | None:
    """This thread's autocast dtype on a device, None where autocast is off."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def batched(network: nn.Module) -> nn.Module:
    """The network, or each network of a bag, wrapped in `BatchedNetwork`."""
    if isinstance(network, BagOfModels):
        network.models = nn.ModuleList([BatchedNetwork(one) for one in network.models])
        return network
    return BatchedNetwork(network)
