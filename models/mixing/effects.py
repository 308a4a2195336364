"""What a mixing desk does to a stereo block of sound, remembering the blocks before it; none of it delays the sound."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import firwin, oaconvolve

from models.audio.loudness import BLOCK
from models.core.types import Samples

Taps = NDArray[np.float32]
"""A symmetric filter, an odd number of taps."""


def high_pass(hz: float, sample_rate: int) -> Taps:
    """A high-pass that turns no phase and reaches 1.6 periods each way: 6 dB down at `hz`; 0 Hz filters nothing."""
    if hz <= 0:
        return np.ones(1, np.float32)
    cutoff = min(hz, 0.45 * sample_rate)
    reach = round(1.6 * sample_rate / cutoff)
    return np.asarray(firwin(2 * reach + 1, cutoff, pass_zero=False, fs=sample_rate), np.float32)


def zero_phase(taps: Taps, block: Samples) -> Samples:
    """A block filtered; it loses half the taps at either end. Shape: (channels, frames - len(taps) + 1)."""
    return block if len(taps) == 1 else np.asarray(oaconvolve(block, taps[None], "valid", axes=1), np.float32)


class Room:
    """What a room with a stereo impulse response adds at `send_db`, ringing on; a block has `BLOCK` frames at most."""

    def __init__(self, response: Samples, send_db: float) -> None:
        self._size = next_fast_len(BLOCK + response.shape[1], real=True)
        self._spectrum = rfft(response * np.float32(10 ** (send_db / 20)), self._size)
        self._ringing = np.zeros((2, response.shape[1] - 1), np.float32)

    def __call__(self, block: Samples) -> Samples:
        reach = self._ringing.shape[1]
        out = irfft(rfft(block, self._size) * self._spectrum, self._size)[:, : block.shape[1] + reach]
        out[:, :reach] += self._ringing
        self._ringing = out[:, block.shape[1] :]
        return np.asarray(out[:, : block.shape[1]], np.float32)


def widened(sound: Samples, width_db: float) -> Samples:
    """The sides (left minus right) louder by `width_db`, the middle as it was."""
    if width_db == 0:
        return sound
    side = (sound[:1] - sound[1:]) * np.float32((10 ** (width_db / 20) - 1) / 2)
    return np.concatenate([sound[:1] + side, sound[1:] - side])


def sides(pan: float) -> NDArray[np.float32]:
    """Gains of left and right for a place from -1 (left) to 1 (right): equal power, 1 and 1 in the middle.

    >>> sides(0).round(3).tolist()
    [[1.0], [1.0]]
    """
    angle = (pan + 1) * np.pi / 4
    return np.asarray(np.sqrt(2) * np.array([[np.cos(angle)], [np.sin(angle)]]), np.float32)
