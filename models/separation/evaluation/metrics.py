"""Separation metrics: whole-song SDR and SI-SDR, and frame-wise SDR."""

import numpy as np

from models.core.dtypes import DoubleArray
from models.core.types import Samples


def sdr_db(reference: Samples, estimate: Samples) -> float:
    """Signal-to-distortion ratio in dB over everything given: 10 log10(|s|² / |s - e|²), as in the MDX challenges.

    Shapes: (channels, frames) both. Silence in the reference gives nan.

    >>> import numpy as np
    >>> reference = np.ones((2, 100), np.float32)
    >>> round(sdr_db(reference, reference * np.float32(0.9)), 2)
    20.0
    """
    signal = np.square(reference, dtype=np.float64).sum()
    if signal < 1e-8:
        return float("nan")
    error = np.square(reference - estimate, dtype=np.float64).sum()
    return float(10 * np.log10(signal / max(error, 1e-12)))


def si_sdr_db(reference: Samples, estimate: Samples) -> float:
    """Scale-invariant SDR in dB (Le Roux et al., "SDR - half-baked or well done?", 2019). Shapes as for `sdr_db`."""
    s, e = reference.astype(np.float64), estimate.astype(np.float64)
    power = np.square(s).sum()
    if power < 1e-8:
        return float("nan")
    target = s * ((s * e).sum() / power)
    return float(10 * np.log10(max(np.square(target).sum(), 1e-12) / max(np.square(e - target).sum(), 1e-12)))


def frame_sdrs_db(reference: Samples, estimate: Samples, frame: int, quiet_db: float = -50.0) -> DoubleArray:
    """SDR in dB of each frame of `frame` samples in which the reference is louder than `quiet_db` (dBFS)."""
    ratios = []
    for start in range(0, reference.shape[1] - frame + 1, frame):
        s = reference[:, start : start + frame]
        if np.square(s, dtype=np.float64).mean() > 10 ** (quiet_db / 10):
            ratios.append(sdr_db(s, estimate[:, start : start + frame]))
    return np.asarray(ratios)
