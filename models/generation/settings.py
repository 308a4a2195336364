"""Settings of the Music Transformer's sampling: what users choose, and what one draw needs of it."""

from collections.abc import Collection
from dataclasses import dataclass

from models.core.errors import BadInput, unknown_name
from models.generation.tokenizer import FAMILIES


@dataclass(frozen=True)
class SamplingParams:
    """The parameters of single draws: the fields of `PlaySettings` of the same names."""

    temperature: float
    top_p: float
    follow: float
    density: float
    harmony: float = 0.0


@dataclass(frozen=True)
class PlaySettings:
    """How notes are sampled.

    `temperature` 0.1..2, no unit: below 1 sharpens the distribution, above 1 flattens it. `top_p` 0.05..1: nucleus
    sampling, only the likeliest events that together have this probability are drawn from. `follow` 0..1: weight of
    the song's own n-gram cache (0 the network alone, 1 the fitted interpolation weights). `harmony` 0..1: strength of
    the bias of pitches towards the key, the song's pitch classes and, in an accompaniment, its chords. `density`
    0.25..4: factor on the odds of one more note, 1 leaves the network's. `tracks`: which families play
    (`drums bass piano guitar strings melody`); empty for those of the prompt, or a whole band where it has none.
    """

    temperature: float = 0.95
    top_p: float = 0.95
    follow: float = 0.7
    harmony: float = 0.6
    density: float = 1.0
    tracks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, low, high in (
            ("temperature", 0.1, 2),
            ("top_p", 0.05, 1),
            ("follow", 0, 1),
            ("harmony", 0, 1),
            ("density", 0.25, 4),
        ):
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"The setting {name} is {getattr(self, name)}; it must lie between {low} and {high}.")
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
