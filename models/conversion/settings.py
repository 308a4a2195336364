"""Settings of voice conversion; those of training are in `models.conversion.training.settings`."""

from dataclasses import dataclass, field

from models.analysis.settings import PitchSettings
from models.core.validation import check_ranges


@dataclass(frozen=True)
class RevoiceSettings:
    """How a voice is converted.

    `key_shift` in semitones, or None for the shift that suits the voice's range; `noise_scale` multiplies the prior's
    noise in so-vits-svc; `timbre` (0..1) is the strength of the equaliser towards the long-term average spectrum of the
    voice's recordings, where its card has one; frames more than `gate_db` below the 95th percentile of level, or below
    `silence_dbfs`, are residue and stay silent; `phrase_s` is the longest phrase.
    """

    key_shift: int | None = None
    noise_scale: float = 0.3
    timbre: float = 0.5
    gate_db: float = 45.0
    silence_dbfs: float = -60.0
    phrase_s: float = 15.0
    pitch: PitchSettings = field(default_factory=PitchSettings)

    def __post_init__(self) -> None:
        check_ranges(
            self, noise_scale=(0, 2), timbre=(0, 1), gate_db=(0, 120), silence_dbfs=(-200, 0), phrase_s=(0.5, 60)
        )
        if self.key_shift is not None:
            check_ranges(self, key_shift=(-60, 60))
