"""Streaming separation: as `demucs.apply.apply_model`, but in constant memory, seeded, batched and cancellable.

The song is cut into overlapping segments; each segment's sources are weighted by a triangle, added up and divided by
the sum of the weights. A stretch is yielded as soon as no later segment touches it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models.core.device import placed
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.core.validation import check_ranges
from models.separation.precision import PRECISIONS, resolved


@dataclass(frozen=True)
class SplitSettings:
    """How a song is cut up for the separator.

    `overlap` is the part of a segment shared with the next, 0 to 0.95. `shifts` is how many randomly delayed
    passes (each by up to 0.5 s) are averaged; 0 is one pass without a delay. `batch` is how many segments go through
    the network at once (0: what a GPU's memory holds, 1 on a CPU); results depend on it in the last bits, so on a CPU
    it is part of what a result was made from.
    `precision` is "float32", "bfloat16", "float16" (on a GPU only), or "auto", which flows replace by bfloat16 where it
    is computed natively and by float32 elsewhere (`models.separation.precision`).
    """

    overlap: float = 0.25
    shifts: int = 0
    batch: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_ranges(self, overlap=(0, 0.95), shifts=(0, 32), batch=(0, 256))
        if self.precision not in PRECISIONS:
            raise BadInput(f"There is no precision {self.precision!r}; known: {', '.join(PRECISIONS)}.")


def split(
    source: Source, network: Any, settings: SplitSettings, seed: int, device: str, watch: Watch = UNWATCHED
) -> Iterator[Samples]:
    """Take a song apart, block by block. Each block has shape (sources, 2, n); together they have `source.frames`.

    `source` is stereo at `network.samplerate`. `network` is a demucs network, a bag of them or one of our own. Equal
    seeds give equal bytes on one machine. Raises `BadInput` for audio or settings it cannot use, `Cancelled` between
    segments.
    """
    from models.separation.overlap_add import added, offsets, one_pass, passes_of

    _check(source, network)
    if resolved(settings.precision, device) != settings.precision:
        raise ValueError("the precision must be resolved before a stage is given it, since it is part of the key")
    placed(network, device)
    passes = passes_of(network, settings, seed)
    total = sum(len(offsets(source, p, settings)) for p in passes)
    done = 0

    def one_done(count: int) -> None:
        nonlocal done
        done += count
        watch.at(done / total)

    watch.at(0.0)
    yield from added([one_pass(source, p, settings, device, one_done) for p in passes], source.frames)


def _check(source: Source, network: Any) -> None:
    if source.channels != network.audio_channels or source.sample_rate != network.samplerate:
        raise BadInput(
            f"The separator needs {network.audio_channels} channels at {network.samplerate} Hz, "
            f"not {source.channels} at {source.sample_rate} Hz."
        )
