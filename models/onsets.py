"""How suddenly a band grows louder, each 10 ms: what beats and bars are told by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.mono import magnitudes
from models.progress import UNWATCHED, Watch
from models.records import Source

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_RATE, _HOP, _WINDOW = 22_050, 220, 1_024
FPS = _RATE / _HOP
"""Onset strengths a second."""
_EDGES = np.unique(np.round(np.concatenate([[0.0], np.geomspace(60, 11_000, 40)]) * _WINDOW / _RATE).astype(int))
_LAG = 2


@dataclass(frozen=True, eq=False)
class Onsets:
    """Onset strengths, about 1 where an attack is loud; all of one shape, (frames,).

    `band` is all stems together and `low` their bottom; `kick`, `snare` and `hat` the drums below 150 Hz, from 200 Hz
    to 4 kHz and above; `bass` and `other` those stems. `peak` is the loudest partial of all (1 is full scale).
    """

    band: Doubles
    low: Doubles
    kick: Doubles
    snare: Doubles
    hat: Doubles
    bass: Doubles
    other: Doubles
    peak: float


def onsets(drums: Source, bass: Source, other: Source, watch: Watch = UNWATCHED) -> Onsets:
    """The onset strengths of a band; memory grows by 3 MB a minute."""
    spectra = [_bands(s, watch.span(i / 3, (i + 1) / 3)) for i, s in enumerate((drums, bass, other))]
    longest = max(map(len, spectra))
    beat, low, harmony = (np.pad(s, ((0, longest - len(s)), (0, 0))) for s in spectra)
    band = beat + low + harmony
    loud = float(np.percentile(band.max(axis=1), 99)) + 1e-12
    deep, middle, high = (int(np.searchsorted(_EDGES * _RATE / _WINDOW, hz)) for hz in (150, 200, 4_000))
    return Onsets(
        band=_rises(band, loud),
        low=_rises(band[:, :deep], loud),
        kick=_rises(beat[:, :deep], loud),
        snare=_rises(beat[:, middle:high], loud),
        hat=_rises(beat[:, high:], loud),
        bass=_rises(low[:, : 2 * deep], loud),
        other=_rises(harmony[:, :high], loud),
        peak=float(band.max()),
    )


def near(strength: Doubles, times_s: Doubles, within_s: float = 0.05) -> Doubles:
    """The strongest onset within so many seconds of each time. Shape: (times,)."""
    reach = round(within_s * FPS)
    padded = np.pad(strength, (reach, reach + 1))
    centre = np.clip(np.round(times_s * FPS).astype(int), 0, len(strength) - 1)
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


def _rises(bands: Floats, loud: float) -> Doubles:
    """The mean rise of the logarithms of bands over 20 ms, 1 at the 98th percentile; zeros where nothing rises."""
    log = np.log1p(bands * (100 / loud))
    rise = np.zeros(len(log))
    rise[_LAG:] = np.maximum(log[_LAG:] - log[:-_LAG], 0).mean(axis=1)
    top = float(np.percentile(rise, 98))
    return rise / top if top > 1e-3 else np.zeros(len(rise))
