"""What the report is made from, and what it measures."""

from dataclasses import dataclass

from models.analysis.f0 import F0
from models.core.types import Grid, Score, Source

WORDS = ("good", "fair", "look here")
"""The plain word beside each number, best first."""


@dataclass(frozen=True)
class StageRun:
    """One task of the run: the `seconds` it took (or once took), whether it was `reused`, and what it came `after`."""

    name: str
    seconds: float
    reused: bool
    after: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """One number: `word` is one of `WORDS`, `meaning` one plain sentence, `group` the heading it stands under."""

    name: str
    value: float
    unit: str
    word: str
    meaning: str
    group: str


@dataclass(frozen=True)
class ReportInput:
    """A finished remix, as the report sees it.

    `original`, `mix`, `stems`, `revoiced` (None when nobody sings) and `backing` (all that is not the lead vocals)
    start at the song's first sample. `score` is what was transcribed, `extended` what was generated, `grid` carried on
    past the song's end. `notes` are plain sentences such as "No vocals were found.". `audio` names the files beside the
    page, relative to it: keys are "original", "mix", "revoiced", "backing" and the names of the stems; what it lacks is
    drawn but cannot be played. `measured` are figures that were taken elsewhere, such as the likeness of the voice.
    """

    title: str
    original: Source
    mix: Source
    stems: dict[str, Source]
    revoiced: Source | None
    backing: Source
    score: Score
    extended: Score
    grid: Grid
    f0_original: F0 | None
    f0_revoiced: F0 | None
    loudness_lufs: float
    true_peak_dbtp: float
    voice: str
    voice_ground: str
    separator: str
    notes: tuple[str, ...]
    audio: dict[str, str]
    stages: tuple[StageRun, ...]
    measured: tuple[Figure, ...] = ()

    @property
    def summands(self) -> list[Source]:
        """The stems that add up to the song: the vocals whole where they are there whole, else their parts."""
        return [stem for name, stem in self.stems.items() if name not in self.parts_of_vocals]

    @property
    def parts_of_vocals(self) -> tuple[str, ...]:
        """The stems that are in another stem already, where the vocals are there both whole and taken apart."""
        apart = ("lead_vocals", "backing_vocals", "room") if "vocals" in self.stems else ()
        return tuple(name for name in apart if name in self.stems)

    @property
    def parts(self) -> dict[str, Source]:
        """Everything that can be heard, by the names that `audio` uses."""
        new = {"revoiced": self.revoiced} if self.revoiced is not None else {}
        return {"mix": self.mix, "original": self.original, **new, "backing": self.backing, **self.stems}

    @property
    def lead(self) -> Source | None:
        """The lead vocals' stem, if the song was taken apart into one."""
        return self.stems.get("lead_vocals", self.stems.get("vocals"))


@dataclass(frozen=True)
class Outline:
    """A waveform to draw, of the part called `name`: `seconds` long.

    `highest` and `typical` are the greatest and the root-mean-square magnitude of equally long buckets, one byte each
    (0-255 for 0 to 1), in base 64; the buckets span `drawn_s` seconds together.
    """

    name: str
    seconds: float
    drawn_s: float
    highest: str
    typical: str


@dataclass(frozen=True)
class Spectrogram:
    """A spectrogram of the part called `name`, `seconds` long: a grey PNG in base 64."""

    name: str
    seconds: float
    png: str


@dataclass(frozen=True)
class Drawings:
    """All that the page draws from the audio, so that a page can be written anew without reading any audio."""

    outlines: tuple[Outline, ...]
    spectrograms: tuple[Spectrogram, ...]


@dataclass(frozen=True)
class Curve:
    """A line in a plot: `y` over `x`, equally long."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Numbers:
    """Everything measured.

    `lag_power` is the power of the cross-correlation of song and remix over the lag (dB re the product of their
    energies, over seconds); `spectra` the average spectra of the two in third octaves (dB re full scale, over hertz).
    Figures that cannot be had (no voice, no generated bars) are absent.
    """

    figures: tuple[Figure, ...]
    lag_power: Curve
    spectra: tuple[Curve, Curve]

    def value(self, name: str) -> float | None:
        """The figure of that name, if it was measured."""
        return next((figure.value for figure in self.figures if figure.name == name), None)
