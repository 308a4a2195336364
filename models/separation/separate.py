"""Streaming separation: as `demucs.apply.apply_model`, but in constant memory, seeded, batched and cancellable.

The song is cut into overlapping segments; each segment's sources are weighted by a triangle, added up and divided by
the sum of the weights. Frames are yielded as soon as no later segment overlaps them.
"""

from collections.abc import Iterator
from typing import Any

from models.core.device import to_device
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.separation.precision import resolved
from models.separation.settings import SeparateSettings


def split(
    source: Source, network: Any, settings: SeparateSettings, seed: int, device: str, watch: Watch = UNWATCHED
) -> Iterator[Samples]:
    """Separate a song, block by block. Each block has shape (sources, 2, n); together they have `source.frames`.

    `source` is stereo at `network.samplerate`. `network` is a demucs network, a `BagOfModels` or one of our own. Equal
    seeds give equal bytes on one machine. Raises `BadInput` for audio or settings it cannot use, `Cancelled` between
    segments.
    """
    from models.separation.overlap_add import plan_passes, run_pass, segment_starts, sum_streams

    _check(source, network)
    if resolved(settings.precision, device) != settings.precision:
        raise ValueError("the precision must be resolved before a stage is given it, since it is part of the key")
    to_device(network, device)
    passes = plan_passes(network, settings, seed)
    total = sum(len(segment_starts(source, p, settings)) for p in passes)
    done = 0

    def on_segments(count: int) -> None:
        nonlocal done
        done += count
        watch.at(done / total)

    watch.at(0.0)
    yield from sum_streams([run_pass(source, p, settings, device, on_segments) for p in passes], source.frames)


def _check(source: Source, network: Any) -> None:
    if source.channels != network.audio_channels or source.sample_rate != network.samplerate:
        raise BadInput(
            f"The separator needs {network.audio_channels} channels at {network.samplerate} Hz, "
            f"not {source.channels} at {source.sample_rate} Hz."
        )
