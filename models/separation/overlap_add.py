"""The passes of a separator through a song, segment by segment, and their sum: what `split` is made of."""

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
from models.separation.separate import SplitSettings

_REDUCED = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Pass:
    """One way through the song by one network, which starts `lead_in` frames before the song does.

    Its sources count with `weights`, one a source; the weights of all passes add up to one for each source.
    """

    network: Any
    weights: Tensor
    lead_in: int


def passes_of(network: Any, settings: SplitSettings, seed: int) -> list[Pass]:
    """Every network of a bag, each as often as there are shifts, with the delays drawn from the seed."""
    rng = np.random.default_rng(seed)
    bag = isinstance(network, BagOfModels)
    networks = list(network.models) if bag else [network]
    weights = torch.tensor(network.weights if bag else [[1.0] * len(network.sources)])
    weights = weights / weights.sum(dim=0) / max(settings.shifts, 1)
    longest = int(0.5 * network.samplerate)
    found = []
    for one, weight in zip(networks, weights, strict=True):
        delays = [longest - int(rng.integers(0, longest + 1)) for _ in range(settings.shifts)]
        found += [Pass(one, weight[:, None, None], delay) for delay in delays or [0]]
    return found


def _segment(network: Any) -> int:
    return int(network.samplerate * network.segment)


def _stride(network: Any, settings: SplitSettings) -> int:
    return max(int((1 - settings.overlap) * _segment(network)), 1)


def offsets(source: Source, one: Pass, settings: SplitSettings) -> range:
    """Where the segments start, in frames from the start of the pass."""
    return range(0, source.frames + one.lead_in, _stride(one.network, settings))


def one_pass(
    source: Source, one: Pass, settings: SplitSettings, device: str, one_done: Callable[[int], None]
) -> Iterator[Tensor]:
    """The weighted sources of one pass from the song's start, in blocks. Shape: (sources, channels, n) each."""
    length, stride = _segment(one.network), _stride(one.network, settings)
    end = source.frames + one.lead_in
    weight = torch.cat([torch.arange(1, length // 2 + 1), torch.arange(length - length // 2, 0, -1)]).float()
    weight = weight / weight.max()
    total = torch.zeros(len(one.network.sources), source.channels, length)
    norm = torch.zeros(length)
    for offset, found in _segments(source, one, settings, device, one_done):
        count = found.shape[-1]
        total[..., :count] += weight[:count] * found
        norm[:count] += weight[:count]
        ready = min(stride, end - offset)
        skip = min(max(one.lead_in - offset, 0), ready)
        yield total[..., skip:ready] / norm[skip:ready] * one.weights
        total = functional.pad(total[..., stride:], (0, stride))
        norm = functional.pad(norm[stride:], (0, stride))


def _segments(
    source: Source, one: Pass, settings: SplitSettings, device: str, one_done: Callable[[int], None]
) -> Iterator[tuple[int, Tensor]]:
    """(offset, sources) of each segment of a pass, in order; the last segments are cut off at the song's end."""
    starts = list(offsets(source, one, settings))
    length, end = _segment(one.network), source.frames + one.lead_in
    batch = settings.batch or _affordable(one.network, device)
    at = 0
    while at < len(starts):
        full = [o for o in starts[at : at + batch] if o + length <= end] or starts[at : at + 1]
        counts = [min(length, end - o) for o in full]
        valid = _valid_length(one.network, counts[0])
        begins = [o - one.lead_in - (valid - n) // 2 for o, n in zip(full, counts, strict=True)]
        mix = torch.from_numpy(np.stack([source.read(s, s + valid) for s in begins]))
        try:
            found = _through(one.network, mix, settings.precision, device)
        except torch.OutOfMemoryError:
            if len(full) == 1:
                raise
            found = None
        if found is None:  # out here, where the error no longer keeps alive what filled the memory
            torch.cuda.empty_cache()
            batch = len(full) // 2
            continue
        at += len(full)
        one_done(len(full))
        for offset, count, part in zip(full, counts, found, strict=True):
            yield offset, center_trim(part, count)


def _through(network: Any, mix: Tensor, precision: str, device: str) -> Tensor:
    """One batch through the network, float32. Shape: (B, channels, frames) -> (B, sources, channels, frames)."""
    reduced = _REDUCED[precision]
    with torch.inference_mode(), torch.autocast(device.split(":")[0], reduced) if reduced else nullcontext():
        found: Tensor = network(mix.to(device))
    return found.float().cpu()


def _valid_length(network: Any, count: int) -> int:
    """How many frames the network wants for `count` frames; what is more is taken from the song around them."""
    return int(network.valid_length(count)) if hasattr(network, "valid_length") else count


def _affordable(network: Any, device: str) -> int:
    """How many segments a GPU's free memory holds (about 0.5 GB each), at most 16; 1 on a CPU.

    What torch has taken of the memory and not given out counts as free.
    """
    if not device.startswith("cuda"):
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(min(max(free // (1 << 29), 1), 16))


def added(streams: list[Iterator[Tensor]], frames: int) -> Iterator[Samples]:
    """The sum of streams that come in blocks of different lengths."""
    waiting = [torch.zeros(1, 1, 0) for _ in streams]
    given = 0
    while given < frames:
        for index, stream in enumerate(streams):
            while waiting[index].shape[-1] == 0:
                waiting[index] = next(stream)
        count = min(block.shape[-1] for block in waiting)
        total = waiting[0][..., :count]
        for block in waiting[1:]:
            total = total + block[..., :count]
        waiting = [block[..., count:] for block in waiting]
        given += count
        yield total.numpy().copy()
