"""Settings of separation: overlap-add inference, and when the lead-backing splitter is overruled."""

from dataclasses import dataclass

from models.core.errors import BadInput
from models.core.validation import check_order, check_settings, setting
from models.separation.precision import PRECISIONS

AUTO = "auto"
"""The separator that stands for the best one at hand."""
ALL_LEAD = "none"
"""The splitter that leaves all vocals to the lead."""


@dataclass(frozen=True)
class SeparateSettings:
    """How a separator is run over a song, as in `demucs.apply.apply_model`."""

    overlap: float = setting(0.25, "Share of a segment that the next one covers, too.", 0, 0.95)
    shifts: int = setting(0, "Passes delayed at random by up to 0.5 s and averaged.", 0, 32)
    batch: int = setting(
        0, "Segments through the network at once; 0 is what a GPU's memory holds, 1 on a CPU.", 0, 256, "segments"
    )
    precision: str = setting(
        "float32", "float32, bfloat16, float16 (on a GPU), or auto: bfloat16 where it is computed natively."
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.precision not in PRECISIONS:
            raise BadInput(f"There is no precision {self.precision!r}; known: {', '.join(PRECISIONS)}.")


@dataclass(frozen=True)
class SplitVocalsSettings(SeparateSettings):
    """As for a separator, and the periodicities between which the splitter's backing vocals are faded in."""

    one_voice: float = setting(0.85, "Periodicity above which one voice sings and all stays with the lead.", 0, 1)
    several: float = setting(0.75, "Periodicity below which the splitter's output is used; linear in between.", 0, 1)
    over_s: float = setting(4.0, "Time that periodicity is averaged over, weighted by power.", 0.1, 60)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self, "several", "one_voice")
