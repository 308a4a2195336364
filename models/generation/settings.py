"""Settings of the Music Transformer's sampling: what users choose, and what one draw needs of it."""

from collections.abc import Collection
from dataclasses import dataclass

from models.core.errors import unknown_name
from models.core.validation import check_settings, setting
from models.generation.tokenizer import FAMILIES


@dataclass(frozen=True)
class SamplingParams:
    """The parameters of single draws: the fields of `GenerateSettings` of the same names."""

    temperature: float
    top_p: float
    follow: float
    density: float
    harmony: float = 0.0


@dataclass(frozen=True)
class GenerateSettings:
    """How notes are sampled."""

    temperature: float = setting(0.95, "Below 1 the distribution is sharpened, above 1 flattened.", 0.1, 2)
    top_p: float = setting(0.95, "Nucleus sampling: the likeliest events up to this probability.", 0.05, 1)
    follow: float = setting(0.7, "Weight of the song's n-gram cache; 0 is the network alone.", 0, 1)
    harmony: float = setting(
        0.6, "Bias of pitches towards key, the song's pitch classes and, in an accompaniment, its chords.", 0, 1
    )
    density: float = setting(1.0, "Factor on the odds of one more note; 1 leaves the network's.", 0.25, 4)
    tracks: tuple[str, ...] = setting(
        (), "Which families play (drums bass piano guitar strings melody); empty for the prompt's, or a whole band."
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for track in self.tracks:
            if track not in FAMILIES:
                raise unknown_name("track", track, FAMILIES)

    @property
    def sampling(self) -> SamplingParams:
        """The part of the settings that single draws need."""
        return SamplingParams(self.temperature, self.top_p, self.follow, self.density, self.harmony)

    def families(self, default: Collection[int]) -> list[int]:
        """The families to write: those asked for, else `default`."""
        return sorted(FAMILIES.index(t) for t in self.tracks) if self.tracks else sorted(default)
