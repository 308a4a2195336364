"""Equaliser towards the long-term average spectrum (LTAS) of a voice's recordings.

A small network's spectral balance follows the room, the microphone and the singer of its source. One slowly adapting
equaliser corrects it.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy.signal import firwin2, oaconvolve, stft

from models.core.dtypes import DoubleArray, FloatArray

BANDS = 40
_TOP_HZ = 10_000.0
_FRAME_S, _TAPS_S = 0.046, 0.023
_FLOOR = 1e-8
_HALF_STRENGTH_S = 1.0
"""Seconds of singing after which half of the correction is applied."""


def long_term_average_spectrum(audio: FloatArray, rate: int) -> DoubleArray:
    """Mean band energy of active frames of mono audio in dB, relative to the frame. Shapes: (n,) -> (BANDS,)."""
    shares = _band_shares(audio, rate)
    return np.asarray(10 * np.log10(shares.mean(axis=1) + _FLOOR) if shares.size else np.full(BANDS, np.nan))


@dataclass
class LtasEqualiser:
    """Equalises successive phrases towards `target_db` by `strength` (0..1), at most `max_gain_db` a band.

    Its gains follow from the average over all phrases so far, so they change ever less.
    """

    target_db: DoubleArray
    rate: int
    strength: float
    max_gain_db: float = 6.0
    _sum: DoubleArray = field(default_factory=lambda: np.zeros(BANDS))
    _frames: int = 0

    def apply(self, audio: FloatArray) -> FloatArray:
        """A phrase equalised without delay. Shape: (n,) -> (n,)."""
        shares = _band_shares(audio, self.rate)
        self._sum = self._sum + shares.sum(axis=1)
        self._frames += shares.shape[1]
        if not self._frames:
            return audio
        seen_s = self._frames * _FRAME_S / 4
        difference = self.target_db - 10 * np.log10(self._sum / self._frames + _FLOOR)
        smooth = np.convolve(np.pad(difference, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
        gains_db = np.clip(
            self.strength * seen_s / (seen_s + _HALF_STRENGTH_S) * smooth, -self.max_gain_db, self.max_gain_db
        )
        hz = np.concatenate([[0.0], _edges_hz()[1:-1], [self.rate / 2]])
        at = np.interp(hz, _edges_hz()[1:-1], 10 ** (gains_db / 20))
        taps = firwin2(round(_TAPS_S * self.rate) | 1, hz, at, fs=self.rate)
        return np.asarray(oaconvolve(audio, taps, mode="same"), np.float32)


def _band_shares(audio: FloatArray, rate: int) -> DoubleArray:
    """Band energies of active frames relative to the frame's total. Shape: (BANDS, frames)."""
    size = round(_FRAME_S * rate / 4) * 4
    if len(audio) < size:
        return np.zeros((BANDS, 0))
    power = np.abs(stft(audio, rate, nperseg=size, noverlap=size * 3 // 4, boundary=None, padded=False)[2]) ** 2
    total = power.sum(axis=0)
    active = total > 1e-4 * total.max(initial=0.0)
    return np.asarray((_bands(size, rate) @ power[:, active]) / np.maximum(total[active], 1e-20))


def _edges_hz() -> DoubleArray:
    """Band edges, evenly spaced in mel (O'Shaughnessy 1987) from 0 to 10 kHz. Shape: (BANDS + 2,)."""
    top = 2595 * np.log10(1 + _TOP_HZ / 700)
    return np.asarray(700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1))


@cache
def _bands(size: int, rate: int) -> DoubleArray:
    """Triangular filters that overlap by half. Shape: (BANDS, size // 2 + 1)."""
    hz, edges = np.arange(size // 2 + 1) * rate / size, _edges_hz()
    rows = [np.interp(hz, edges[i : i + 3], (0.0, 1.0, 0.0), left=0.0, right=0.0) for i in range(BANDS)]
    return np.stack(rows)
