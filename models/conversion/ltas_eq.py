"""How bright a voice is: the long-term average spectrum of its recordings, which what it sings is brought nearer to.

A small network's tone follows the room, the microphone and the singer of its source. One gentle equaliser for the whole
song takes that back; it never follows single sounds.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin2, oaconvolve, stft

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BANDS = 40
_TOP_HZ = 10_000.0
_FRAME_S, _TAPS_S = 0.046, 0.023
_FLOOR = 1e-8
_CERTAIN_S = 1.0
"""After so many seconds of singing half of what its average says is believed."""


def spectrum(audio: Floats, rate: int) -> Doubles:
    """The average level of what sounds in mono audio, in dB of each frame's whole. Shapes: (n,) -> (BANDS,)."""
    shares = _shares(audio, rate)
    return np.asarray(10 * np.log10(shares.mean(axis=1) + _FLOOR) if shares.size else np.full(BANDS, np.nan))


@dataclass
class Timbre:
    """Brings phrases, one after the other, nearer to a wanted spectrum by `strength` (0..1), at most `most_db` a band.

    The equaliser is that of all phrases so far, so that it moves ever less.
    """

    wanted: Doubles
    rate: int
    strength: float
    most_db: float = 6.0
    _sum: Doubles = field(default_factory=lambda: np.zeros(BANDS))
    _frames: int = 0

    def on(self, sung: Floats) -> Floats:
        """A phrase with the equaliser on it, no sample later. Shape: (n,) -> (n,)."""
        shares = _shares(sung, self.rate)
        self._sum = self._sum + shares.sum(axis=1)
        self._frames += shares.shape[1]
        if not self._frames:
            return sung
        heard_s = self._frames * _FRAME_S / 4
        off = self.wanted - 10 * np.log10(self._sum / self._frames + _FLOOR)
        smooth = np.convolve(np.pad(off, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
        gains_db = np.clip(self.strength * heard_s / (heard_s + _CERTAIN_S) * smooth, -self.most_db, self.most_db)
        hz = np.concatenate([[0.0], _edges_hz()[1:-1], [self.rate / 2]])
        at = np.interp(hz, _edges_hz()[1:-1], 10 ** (gains_db / 20))
        taps = firwin2(round(_TAPS_S * self.rate) | 1, hz, at, fs=self.rate)
        return np.asarray(oaconvolve(sung, taps, mode="same"), np.float32)


def _shares(audio: Floats, rate: int) -> Doubles:
    """Each sounding frame's energy by band, adding up to at most 1. Shape: (BANDS, frames)."""
    size = round(_FRAME_S * rate / 4) * 4
    if len(audio) < size:
        return np.zeros((BANDS, 0))
    power = np.abs(stft(audio, rate, nperseg=size, noverlap=size * 3 // 4, boundary=None, padded=False)[2]) ** 2
    whole = power.sum(axis=0)
    sounding = whole > 1e-4 * whole.max(initial=0.0)
    return np.asarray((_bands(size, rate) @ power[:, sounding]) / np.maximum(whole[sounding], 1e-20))


def _edges_hz() -> Doubles:
    """Evenly spaced in mel (O'Shaughnessy 1987) from 0 to 10 kHz. Shape: (BANDS + 2,)."""
    top = 2595 * np.log10(1 + _TOP_HZ / 700)
    return np.asarray(700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1))


@cache
def _bands(size: int, rate: int) -> Doubles:
    """Triangles that overlap by half. Shape: (BANDS, size // 2 + 1)."""
    hz, edges = np.arange(size // 2 + 1) * rate / size, _edges_hz()
    rows = [np.interp(hz, edges[i : i + 3], (0.0, 1.0, 0.0), left=0.0, right=0.0) for i in range(BANDS)]
    return np.stack(rows)
