"""Records of the report: its input, its measurements, and the data of its plots."""

from dataclasses import dataclass

from models.analysis.f0 import F0
from models.core.types import Grid, Score, Source

RATINGS = ("good", "fair", "look here")
"""The rating beside each metric, best first."""


@dataclass(frozen=True)
class StageRun:
    """One task of the run: its `seconds`, whether its result was `reused`, and the tasks it came `after`."""

    name: str
    seconds: float
    reused: bool
    after: tuple[str, ...]


@dataclass(frozen=True)
class Metric:
    """One metric: its `word` is one of `RATINGS`, `meaning` one plain sentence, `group` its heading."""

    name: str
    value: float
    unit: str
    word: str
    meaning: str
    group: str


@dataclass(frozen=True)
class ReportInput:
    """A finished remix.

    `original`, `mix`, `stems`, `revoiced` (None without converted vocals) and `backing` (all but the lead vocals) start
    at the song's first sample. `score` is what was transcribed, `extended` what was generated, `grid` extrapolated past
    the song's end. `notes` are plain sentences such as "No vocals were found.". `audio` names the files beside the
    page, relative to it: keys are "original", "mix", "revoiced", "backing" and the names of the stems; parts without a
    file are drawn but cannot be played. `measured` are metrics computed elsewhere, such as speaker similarity.
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
    measured: tuple[Metric, ...] = ()

    @property
    def disjoint_stems(self) -> list[Source]:
        """The stems that sum to the song: the whole vocals where they are there, else their parts."""
        return [stem for name, stem in self.stems.items() if name not in self.vocal_parts]

    @property
    def vocal_parts(self) -> tuple[str, ...]:
        """The stems that are contained in another one, where the vocals are there both whole and split."""
        split = ("lead_vocals", "backing_vocals", "room") if "vocals" in self.stems else ()
        return tuple(name for name in split if name in self.stems)

    @property
    def parts(self) -> dict[str, Source]:
        """All audio, by the names that `audio` uses."""
        new = {"revoiced": self.revoiced} if self.revoiced is not None else {}
        return {"mix": self.mix, "original": self.original, **new, "backing": self.backing, **self.stems}

    @property
    def lead(self) -> Source | None:
        """The lead vocals' stem, if there is one."""
        return self.stems.get("lead_vocals", self.stems.get("vocals"))


@dataclass(frozen=True)
class Waveform:
    """A waveform plot of the part called `name`, `seconds` long.

    `peak` and `rms` are the magnitudes of equally long buckets, one byte each (0-255 for 0 to 1), in base 64; the
    buckets span `drawn_s` seconds together.
    """

    name: str
    seconds: float
    drawn_s: float
    peak: str
    rms: str


@dataclass(frozen=True)
class Spectrogram:
    """A spectrogram of the part called `name`, `seconds` long: a grey PNG in base 64."""

    name: str
    seconds: float
    png: str


@dataclass(frozen=True)
class PlotData:
    """All that the page draws from the audio, so that a page can be rendered again without reading audio."""

    waveforms: tuple[Waveform, ...]
    spectrograms: tuple[Spectrogram, ...]


@dataclass(frozen=True)
class Curve:
    """A line in a plot: `y` over `x`, equally long."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Measurements:
    """Everything measured.

    `lag_power` is the power of the cross-correlation of song and remix over the lag (dB re the product of their
    energies, over seconds); `spectra` the average spectra of the two in third octaves (dB re full scale, over hertz).
    Metrics that are undefined (no voice, no generated bars) are absent.
    """

    metrics: tuple[Metric, ...]
    lag_power: Curve
    spectra: tuple[Curve, Curve]

    def value(self, name: str) -> float | None:
        """The metric of that name, if it was measured."""
        return next((metric.value for metric in self.metrics if metric.name == name), None)
