"""A synthetic room impulse response: early reflections and band-wise decaying noise."""

import numpy as np
from scipy.signal import butter, sosfilt

from models.core.dtypes import FloatArray


def room_impulse_response(seconds: float, sample_rate: int, seed: int, predelay_s: float = 0.012) -> FloatArray:
    """A stereo impulse response with unit energy in each channel.

    The tail is Gaussian noise in three bands with reverberation times (RT60) of `seconds`, 0.8 and 0.5 times that
    (Moorer 1979). Shape: (2, frames).
    """
    rng = np.random.default_rng([seed, 7])
    delay = round(predelay_s * sample_rate)
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    edges = (150.0, 700.0, 3000.0, min(9000.0, 0.45 * sample_rate))
    response = np.zeros((2, delay + len(t)))
    for low, high, share in zip(edges[:-1], edges[1:], (1.0, 0.8, 0.5), strict=True):
        if high > low:
            noise = sosfilt(
                butter(2, (low, high), "bandpass", fs=sample_rate, output="sos"), rng.standard_normal((2, len(t)))
            )
            response[:, delay:] += noise * np.exp(-t * np.log(1000) / (seconds * share))
    for at_s in rng.uniform(0.002, 0.045, 8):
        tap = delay + round(at_s * sample_rate)
        if tap < response.shape[1]:
            response[:, tap] += rng.uniform(-2, 2, 2)
    response /= np.sqrt((response**2).sum(axis=1, keepdims=True))
    return response.astype(np.float32)
