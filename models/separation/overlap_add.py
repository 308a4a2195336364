"""Overlap-add inference: segments of a song through a network, triangle-weighted, averaged over networks and shifts."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from demucs.apply import BagOfModels
from demucs.utils import center_trim
from torch import Tensor
from torch.nn import functional

from models.core.types import Samples, Source
from models.separation.settings import SeparateSettings

_AUTOCAST_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Pass:
    """One network over the whole song, with segments that start `lead_in` frames before the song.

    `weights`: its share in the average of all passes, (sources, 1, 1); over the passes they sum to one.
    """

    network: Any
    weights: Tensor
    lead_in: int


def plan_passes(network: Any, settings: SeparateSettings, seed: int) -> list[Pass]:
    """One pass for each network of a bag and each shift, with the delays drawn from the seed."""
    rng = np.random.default_rng(seed)
    bag = isinstance(network, BagOfModels)
    networks = list(network.models) if bag else [network]
    weights = torch.tensor(network.weights if bag else [[1.0] * len(network.sources)])
    weights = weights / weights.sum(dim=0) / max(settings.shifts, 1)
    max_delay = int(0.5 * network.samplerate)
    passes = []
    for one, weight in zip(networks, weights, strict=True):
        delays = [max_delay - int(rng.integers(0, max_delay + 1)) for _ in range(settings.shifts)]
        passes += [Pass(one, weight[:, None, None], delay) for delay in delays or [0]]
    return passes


def _segment_frames(network: Any) -> int:
    return int(network.samplerate * network.segment)


def _stride(network: Any, settings: SeparateSettings) -> int:
    return max(int((1 - settings.overlap) * _segment_frames(network)), 1)


def segment_starts(source: Source, one: Pass, settings: SeparateSettings) -> range:
    """The first frame of each segment, from the start of the pass."""
    return range(0, source.frames + one.lead_in, _stride(one.network, settings))


def run_pass(
    source: Source, one: Pass, settings: SeparateSettings, device: str, on_segments: Callable[[int], None]
) -> Iterator[Tensor]:
    """The sources of one pass times its weights, in blocks of shape (sources, channels, n), from the song's start."""
    length, stride = _segment_frames(one.network), _stride(one.network, settings)
    end = source.frames + one.lead_in
    weight = torch.cat([torch.arange(1, length // 2 + 1), torch.arange(length - length // 2, 0, -1)]).float()
    weight = weight / weight.max()
    total = torch.zeros(len(one.network.sources), source.channels, length)
    norm = torch.zeros(length)
    for offset, sources in _segments(source, one, settings, device, on_segments):
        count = sources.shape[-1]
        total[..., :count] += weight[:count] * sources
        norm[:count] += weight[:count]
        ready = min(stride, end - offset)
        skip = min(max(one.lead_in - offset, 0), ready)
        yield total[..., skip:ready] / norm[skip:ready] * one.weights
        total = functional.pad(total[..., stride:], (0, stride))
        norm = functional.pad(norm[stride:], (0, stride))


def _segments(
    source: Source, one: Pass, settings: SeparateSettings, device: str, on_segments: Callable[[int], None]
) -> Iterator[tuple[int, Tensor]]:
    """(offset, sources) of each segment of a pass, in order, trimmed at the song's end.

    On `OutOfMemoryError` the batch is halved.
    """
    starts = list(segment_starts(source, one, settings))
    length, end = _segment_frames(one.network), source.frames + one.lead_in
    batch = settings.batch or _batch_that_fits(one.network, device)
    at = 0
    while at < len(starts):
        full = [o for o in starts[at : at + batch] if o + length <= end] or starts[at : at + 1]
        counts = [min(length, end - o) for o in full]
        valid = _valid_length(one.network, counts[0])
        begins = [o - one.lead_in - (valid - n) // 2 for o, n in zip(full, counts, strict=True)]
        mix = torch.from_numpy(np.stack([source.read(s, s + valid) for s in begins]))
        try:
            sources = _forward(one.network, mix, settings.precision, device)
        except torch.OutOfMemoryError:
            if len(full) == 1:
                raise
            sources = None
        if sources is None:  # outside the except clause, since the exception keeps the failed batch's tensors alive
            torch.cuda.empty_cache()
            batch = len(full) // 2
            continue
        at += len(full)
        on_segments(len(full))
        for offset, count, part in zip(full, counts, sources, strict=True):
            yield offset, center_trim(part, count)


def _forward(network: Any, mix: Tensor, precision: str, device: str) -> Tensor:
    """One batch through the network, float32. Shape: (B, channels, frames) -> (B, sources, channels, frames)."""
    dtype = _AUTOCAST_DTYPES[precision]
    with torch.inference_mode(), torch.autocast(device.split(":")[0], dtype) if dtype else nullcontext():
        sources: Tensor = network(mix.to(device))
    return sources.float().cpu()


def _valid_length(network: Any, count: int) -> int:
    """The input length the network needs for `count` frames; the rest is context from the song."""
    return int(network.valid_length(count)) if hasattr(network, "valid_length") else count


def _batch_that_fits(network: Any, device: str) -> int:
    """How many segments fit a GPU's free memory (about 0.5 GB each), at most 16; 1 on a CPU.

    Memory that torch's caching allocator holds unallocated counts as free.
    """
    if not device.startswith("cuda"):
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(min(max(free // (1 << 29), 1), 16))


def sum_streams(streams: list[Iterator[Tensor]], frames: int) -> Iterator[Samples]:
    """The sum of streams whose blocks differ in length, `frames` in all."""
    pending = [torch.zeros(1, 1, 0) for _ in streams]
    done = 0
    while done < frames:
        for index, stream in enumerate(streams):
            while pending[index].shape[-1] == 0:
                pending[index] = next(stream)
        count = min(block.shape[-1] for block in pending)
        total = pending[0][..., :count]
        for block in pending[1:]:
            total = total + block[..., :count]
        pending = [block[..., count:] for block in pending]
        done += count
        yield total.numpy().copy()
