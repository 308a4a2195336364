"""Integrated loudness and true peak by ITU-R BS.1770-4, streaming.

Loudness is the K-weighted power of 400 ms blocks (a new one every 100 ms), gated at -70 LUFS and then 10 LU below the
mean of what passed. True peak is the highest value of the signal oversampled to at least 176.4 kHz.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import firwin, sosfilt

from models.core.dtypes import DoubleArray, FloatArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source

BLOCK = 1 << 16
SILENCE_LUFS = -70.0
OFFSET_LUFS = -0.691
PEAK_REACH = 16
"""Half width of the oversampling filter, in samples."""


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness in LUFS (-70 for silence) and true peak in dBTP (-120 for silence)."""

    loudness_lufs: float
    true_peak_dbtp: float


def measure(source: Source, watch: Watch = UNWATCHED) -> Loudness:
    """Loudness and true peak of a source, read block by block."""
    meter = LoudnessMeter(source.sample_rate, source.channels)
    for block in blocks_of(source, watch):
        meter.add(block)
    return meter.reading()


def blocks_of(source: Source, watch: Watch = UNWATCHED) -> Iterator[Samples]:
    """The source from start to end in blocks of 65,536 frames."""
    for start in range(0, source.frames, BLOCK):
        watch.at(start / source.frames)
        yield source.read(start, min(start + BLOCK, source.frames))


class LoudnessMeter:
    """A streaming meter: `add` consecutive blocks of shape (channels, frames), read with `reading` at any time.

    It stores one power value for every 100 ms. Six channels are L, R, C, LFE, Ls, Rs.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._powers = PowerCurve(sample_rate, channels, round(sample_rate / 10))
        self._peak = 0.0
        self._sample_rate = sample_rate
        self._tail = np.zeros((channels, 2 * PEAK_REACH), np.float32)

    def add(self, block: Samples) -> None:
        self._powers.add(block)
        joined = np.concatenate([self._tail, block], axis=1)
        self._tail = joined[:, -2 * PEAK_REACH :]
        self._peak = max(self._peak, float(true_peaks(joined, self._sample_rate).max(initial=0.0)))

    def reading(self) -> Loudness:
        """Loudness and true peak of all blocks so far."""
        silence = np.zeros((self._tail.shape[0], PEAK_REACH), np.float32)
        rest = np.concatenate([self._tail, silence], axis=1)
        peak = max(self._peak, float(true_peaks(rest, self._sample_rate).max()))
        return Loudness(gated_loudness(self._powers.powers()), float(20 * np.log10(max(peak, 1e-6))))


class PowerCurve:
    """The power of consecutive steps of `step` frames, summed over the channels by their weights.

    It is K-weighted, or weighted by the filter `sections` (second-order sections).
    """

    def __init__(self, sample_rate: int, channels: int, step: int, sections: DoubleArray | None = None) -> None:
        self._step = step
        self._filter = k_weighting(sample_rate) if sections is None else sections
        self._state = np.zeros((len(self._filter), channels, 2))
        self._weights = np.array([1.0, 1.0, 1.0, 0.0, 1.41, 1.41])[:channels, None]
        self._rest = np.zeros(0)
        self._powers: list[DoubleArray] = []

    def add(self, block: Samples) -> None:
        weighted, self._state = sosfilt(self._filter, block.astype(np.float64), axis=1, zi=self._state)
        power = np.concatenate([self._rest, (self._weights * weighted**2).sum(axis=0)])
        whole = len(power) // self._step
        self._powers.append(power[: whole * self._step].reshape(whole, self._step).mean(axis=1))
        self._rest = power[whole * self._step :]

    def powers(self) -> DoubleArray:
        """The mean square of each step; the last, incomplete one is zero-padded."""
        last = [self._rest.sum(keepdims=True) / self._step] if len(self._rest) else []
        return np.concatenate([np.zeros(0), *self._powers, *last])


def gated_loudness(powers: DoubleArray) -> float:
    """Integrated loudness in LUFS from mean squares of consecutive 100 ms steps; -70 if no block passes the gate."""
    blocks = np.convolve(powers, np.full(4, 0.25), "valid") if len(powers) >= 4 else powers
    ungated = blocks[lufs(blocks) > SILENCE_LUFS]
    if not len(ungated):
        return SILENCE_LUFS
    return float(lufs(ungated[lufs(ungated) > lufs(ungated.mean()) - 10].mean()))


def lufs(power: DoubleArray | np.float64 | float) -> DoubleArray:
    """K-weighted mean square as LUFS.

    >>> round(float(lufs(1.0)), 3)
    -0.691
    """
    return np.asarray(OFFSET_LUFS + 10 * np.log10(np.maximum(power, 1e-12)))


def k_weighting(sample_rate: int) -> DoubleArray:
    """The standard's two filters for any rate as second-order sections: a shelf of 4 dB, then a high-pass at 38 Hz.

    The standard tabulates them at 48 kHz; the analogue prototypes behind the table are those of De Man (2014).
    """
    gain, q = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    k = np.tan(np.pi * 1681.974450955533 / sample_rate)
    bend = gain**0.4996667741545416
    shelf = [gain + bend * k / q + k * k, 2 * (k * k - gain), gain - bend * k / q + k * k]
    shelf += [1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k]
    q = 0.5003270373238773
    k = np.tan(np.pi * 38.13547087602444 / sample_rate)
    poles = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    return np.array([np.array(shelf) / shelf[3], [1, -2, 1, *(poles / poles[0])]])


def oversampling(sample_rate: int) -> int:
    """The oversampling factor of the true-peak meter: 4 at 48 kHz, less for higher rates."""
    return max(1, min(4, -(-176400 // sample_rate)))


def true_peaks(samples: Samples, sample_rate: int) -> FloatArray:
    """The highest absolute value of any channel near each inner sample: on it or within one sample before or after.

    `samples` has 16 frames (`PEAK_REACH`) more at either end than the result. Shape: (frames - 32,).
    """
    peaks: FloatArray = np.abs(samples).max(axis=0)[PEAK_REACH:-PEAK_REACH]
    factor = oversampling(sample_rate)
    size = next_fast_len(samples.shape[1] + 2 * PEAK_REACH, real=True)
    spectrum = rfft(samples, size)
    for phase in range(1, factor):
        shifted = irfft(spectrum * rfft(_interpolator(factor)[phase::factor], size), size)
        between = np.abs(shifted[:, 2 * PEAK_REACH - 1 : samples.shape[1]]).max(axis=0)
        peaks = np.maximum(peaks, np.maximum(between[:-1], between[1:]))
    return peaks


@cache
def _interpolator(factor: int) -> FloatArray:
    """A Kaiser-windowed sinc interpolation filter. Shape: (32 * factor + 1,)."""
    taps = firwin(2 * PEAK_REACH * factor + 1, 1 / factor, window=("kaiser", 7.0)) * factor
    return np.asarray(taps, np.float32)
