"""Log-band spectra of the stems every 10 ms, and onset strength: per-stem spectral flux."""

from dataclasses import dataclass

import numpy as np

from models.audio.framing import magnitudes
from models.core.dtypes import DoubleArray, FloatArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Source

_RATE, _HOP, _WINDOW = 22_050, 220, 1_024
FPS = _RATE / _HOP
"""Frames a second."""
_BAND_EDGES = np.unique(np.round(np.concatenate([[0.0], np.geomspace(60, 11_000, 40)]) * _WINDOW / _RATE).astype(int))
BANDS = len(_BAND_EDGES) - 1
"""Bands of a stem's spectrum."""
LOW_BANDS = int(np.searchsorted(_BAND_EDGES * _RATE / _WINDOW, 150))
"""Bands below 150 Hz, the range of the kick."""
_LAG = 2


@dataclass(frozen=True, eq=False)
class BandSpectra:
    """Mean magnitudes of drums, bass and other in `BANDS` bands, at `FPS`. Shapes: (frames, bands)."""

    drums: FloatArray
    bass: FloatArray
    other: FloatArray

    @property
    def all(self) -> FloatArray:
        """The sum of the stems."""
        return self.drums + self.bass + self.other


def band_spectra(drums: Source, bass: Source, other: Source, watch: Watch = UNWATCHED) -> BandSpectra:
    """The band spectra of the stems, padded to one length; memory grows by 3 MB a minute."""
    spectra = [_bands(s, watch.span(i / 3, (i + 1) / 3)) for i, s in enumerate((drums, bass, other))]
    longest = max(map(len, spectra))
    return BandSpectra(*(np.pad(s, ((0, longest - len(s)), (0, 0))) for s in spectra))


def reference_level(spectra: BandSpectra) -> float:
    """The 99th percentile of the frames' peak magnitude: the unit of log compression."""
    return float(np.percentile(spectra.all.max(axis=1), 99)) + 1e-12


def onset_strength(bands: FloatArray, reference: float) -> DoubleArray:
    """Mean positive log-spectral flux over 20 ms, 1 at its 98th percentile; zeros for stationary sound."""
    log = np.log1p(bands * np.float32(100 / reference))
    rise = np.zeros(len(log))
    rise[_LAG:] = np.maximum(log[_LAG:] - log[:-_LAG], 0).mean(axis=1)
    top = float(np.percentile(rise, 98))
    return rise / top if top > 1e-3 else np.zeros(len(rise))


def max_near(values: DoubleArray, times_s: DoubleArray, fps: float, within_s: float) -> DoubleArray:
    """The maximum of values, at `fps`, within `within_s` seconds of each time. Shape: (frames,) -> (times,)."""
    reach = round(within_s * fps)
    padded = np.pad(values, reach, mode="edge")
    centre = np.clip(np.round(times_s * fps).astype(int), 0, len(values) - 1)
    return np.asarray(np.max([padded[centre + k] for k in range(2 * reach + 1)], axis=0))


def _bands(source: Source, watch: Watch) -> FloatArray:
    """The mean magnitude in each band. Shape: (frames, bands)."""
    frames = source.frames / source.sample_rate * FPS + 1
    parts: list[FloatArray] = []
    for spectrum in magnitudes(source, _RATE, _WINDOW, _HOP):
        sums = np.add.reduceat(spectrum, _BAND_EDGES, axis=1)[:, :-1]
        parts.append(np.asarray(sums / np.diff(_BAND_EDGES), np.float32))
        watch.at(sum(map(len, parts)) / frames)
    return np.concatenate(parts)
