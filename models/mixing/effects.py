"""Stereo effects on blocks of audio, without latency; the reverb keeps its tail between blocks."""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import firwin, oaconvolve

from models.audio.loudness import BLOCK
from models.core.dtypes import FloatArray
from models.core.types import Samples


def high_pass(hz: float, sample_rate: int) -> FloatArray:
    """A linear-phase high-pass with an odd number of taps, 1.6 periods each way, -6 dB at `hz`; one tap for 0 Hz."""
    if hz <= 0:
        return np.ones(1, np.float32)
    cutoff = min(hz, 0.45 * sample_rate)
    tail = round(1.6 * sample_rate / cutoff)
    return np.asarray(firwin(2 * tail + 1, cutoff, pass_zero=False, fs=sample_rate), np.float32)


def zero_phase(taps: FloatArray, block: Samples) -> Samples:
    """A block filtered by symmetric taps without padding. Shape: (channels, frames - len(taps) + 1)."""
    return block if len(taps) == 1 else np.asarray(oaconvolve(block, taps[None], "valid", axes=1), np.float32)


class ConvolutionReverb:
    """Convolution with a stereo impulse response at `send_db`; a block has `BLOCK` frames at most."""

    def __init__(self, response: Samples, send_db: float) -> None:
        self._size = next_fast_len(BLOCK + response.shape[1], real=True)
        self._spectrum = rfft(response * np.float32(10 ** (send_db / 20)), self._size)
        self._tail = np.zeros((2, response.shape[1] - 1), np.float32)

    def __call__(self, block: Samples) -> Samples:
        tail = self._tail.shape[1]
        out = irfft(rfft(block, self._size) * self._spectrum, self._size)[:, : block.shape[1] + tail]
        out[:, :tail] += self._tail
        self._tail = out[:, block.shape[1] :]
        return np.asarray(out[:, : block.shape[1]], np.float32)


def stereo_width(sound: Samples, width_db: float) -> Samples:
    """The side signal (left minus right) `width_db` louder, the mid signal unchanged."""
    if width_db == 0:
        return sound
    side = (sound[:1] - sound[1:]) * np.float32((10 ** (width_db / 20) - 1) / 2)
    return np.concatenate([sound[:1] + side, sound[1:] - side])


def pan_gains(pan: float) -> FloatArray:
    """Equal-power gains of left and right for a pan from -1 (left) to 1 (right), 1 and 1 in the middle."""
    angle = (pan + 1) * np.pi / 4
    return np.asarray(np.sqrt(2) * np.array([[np.cos(angle)], [np.sin(angle)]]), np.float32)
