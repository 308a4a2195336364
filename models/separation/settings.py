"""Settings of separation: overlap-add inference, and when the lead-backing splitter is overruled."""

from dataclasses import dataclass

from models.core.errors import BadInput
from models.core.validation import check_order, check_ranges
from models.separation.precision import PRECISIONS

AUTO = "auto"
"""The separator that stands for the best one at hand."""
ALL_LEAD = "none"
"""The splitter that leaves all vocals to the lead."""


@dataclass(frozen=True)
class SplitSettings:
    """How a separator is run over a song, as in `demucs.apply.apply_model`.

    `overlap` is the part of a segment shared with the next, 0 to 0.95. `shifts` is how many randomly delayed passes
    (each by up to 0.5 s) are averaged; 0 is one pass without a delay. `batch` is how many segments go through the
    network at once (0: what a GPU's memory holds, 1 on a CPU); results depend on it in the last bits.
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


@dataclass(frozen=True)
class PartingSettings(SplitSettings):
    """As for a separator, and thresholds of periodicity between which the splitter's backing vocals are faded in.

    Above `one_voice` (0 to 1) a single voice sings and everything stays in the lead; below `several` the splitter's
    output is used as it is; linear between. Periodicity is averaged over `over_s` seconds, weighted by power.
    """

    one_voice: float = 0.85
    several: float = 0.75
    over_s: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, one_voice=(0, 1), several=(0, 1), over_s=(0.1, 60))
        check_order(self, "several", "one_voice")
