"""Settings of voice conversion; those of training are in `models.conversion.training.settings`."""

from dataclasses import dataclass, field

from models.analysis.settings import F0Settings
from models.core.validation import check_settings, setting


@dataclass(frozen=True)
class ConvertSettings:
    """How a voice is converted."""

    key_shift: int | None = setting(
        None, "Transposition; null for the one that suits the voice's range.", -60, 60, "semitones"
    )
    noise_scale: float = setting(0.3, "Factor on the noise of so-vits-svc's prior.", 0, 2)
    timbre: float = setting(
        0.5, "Strength of the equaliser towards the long-term average spectrum of the voice's recordings.", 0, 1
    )
    gate_db: float = setting(45.0, "Frames this far below the 95th percentile of level stay silent.", 0, 120)
    silence_dbfs: float = setting(-60.0, "Frames below it stay silent.", -200, 0)
    phrase_s: float = setting(15.0, "The longest phrase that is converted at once.", 0.5, 60)
    pitch: F0Settings = field(default_factory=F0Settings)

    def __post_init__(self) -> None:
        check_settings(self)
