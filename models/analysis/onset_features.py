"""The stems of a band in frequency bands, each 10 ms, and how suddenly they grow louder: what beats are told by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audio.framing import magnitudes
from models.core.progress import UNWATCHED, Watch
from models.core.types import Source

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_RATE, _HOP, _WINDOW = 22_050, 220, 1_024
FPS = _RATE / _HOP
"""Onset strengths a second."""
_EDGES = np.unique(np.round(np.concatenate([[0.0], np.geomspace(60, 11_000, 40)]) * _WINDOW / _RATE).astype(int))
BANDS = len(_EDGES) - 1
"""Bands that a stem's spectrum is split into."""
DEEP = int(np.searchsorted(_EDGES * _RATE / _WINDOW, 150))
"""How many of them lie below 150 Hz, where kicks are."""
_LAG = 2


@dataclass(frozen=True, eq=False)
class BandSpectra:
    """The mean magnitudes of drums, bass and other in `BANDS` bands, `FPS` times a second. Shapes: (frames, bands)."""

    drums: Floats
    bass: Floats
    other: Floats

    @property
    def all(self) -> Floats:
        """The stems together."""
        return self.drums + self.bass + self.other


def band_spectra(drums: Source, bass: Source, other: Source, watch: Watch = UNWATCHED) -> BandSpectra:
    """What is heard of a band, all stems of one length; memory grows by 3 MB a minute."""
    spectra = [_bands(s, watch.span(i / 3, (i + 1) / 3)) for i, s in enumerate((drums, bass, other))]
    longest = max(map(len, spectra))
    return BandSpectra(*(np.pad(s, ((0, longest - len(s)), (0, 0))) for s in spectra))


def loudest(spectra: BandSpectra) -> float:
    """How loud the band is where it is loud: what logarithms are taken in units of."""
    return float(np.percentile(spectra.all.max(axis=1), 99)) + 1e-12


def onset_strength(bands: Floats, loud: float) -> Doubles:
    """The mean rise of the logarithms of some bands over 20 ms, 1 at its 98th percentile; zeros where nothing rises."""
    log = np.log1p(bands * np.float32(100 / loud))
    rise = np.zeros(len(log))
    rise[_LAG:] = np.maximum(log[_LAG:] - log[:-_LAG], 0).mean(axis=1)
    top = float(np.percentile(rise, 98))
    return rise / top if top > 1e-3 else np.zeros(len(rise))


def near(values: Doubles, times_s: Doubles, fps: float, within_s: float) -> Doubles:
    """The highest of values, `fps` a second, within so many seconds of each time. Shape: (frames,) -> (times,)."""
    reach = round(within_s * fps)
    padded = np.pad(values, reach, mode="edge")
    centre = np.clip(np.round(times_s * fps).astype(int), 0, len(values) - 1)
    return np.asarray(np.max([padded[centre + k] for k in range(2 * reach + 1)], axis=0))


def _bands(source: Source, watch: Watch) -> Floats:
    """The mean magnitude in each band. Shape: (frames, bands)."""
    frames = source.frames / source.sample_rate * FPS + 1
    parts: list[Floats] = []
    for spectrum in magnitudes(source, _RATE, _WINDOW, _HOP):
        sums = np.add.reduceat(spectrum, _EDGES, axis=1)[:, :-1]
        parts.append(np.asarray(sums / np.diff(_EDGES), np.float32))
        watch.at(sum(map(len, parts)) / frames)
    return np.concatenate(parts)
