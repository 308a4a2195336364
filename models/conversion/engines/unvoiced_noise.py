"""Unvoiced frames replaced by noise, since a small decoder is periodic at the frame rate there.

The noise gets the sound's spectral envelope, smoothed over more than the frame rate's harmonics, as the aperiodic part
of a vocoder does (Morise et al., "WORLD", 2016).
"""

import numpy as np
from scipy.ndimage import uniform_filter, uniform_filter1d
from scipy.signal import istft, stft

from models.core.dtypes import BoolArray, FloatArray

_WINDOW, _HOP = 512, 128
_WIDTH_HZ = 350.0
_FADE_S = 0.008


def replace_unvoiced(audio: FloatArray, voiced: BoolArray, hop: int, rate: int, seed: int) -> FloatArray:
    """Unvoiced frames replaced by noise; equal seeds give equal samples. Shapes: (n,), (frames,) -> (n,).

    Frame i is centred at (i + 0.5) * `hop` samples.
    """
    if voiced.all() or len(audio) < _WINDOW:
        return audio
    noise = np.random.default_rng(seed).standard_normal(len(audio))
    layout = {"fs": rate, "nperseg": _WINDOW, "noverlap": _WINDOW - _HOP, "boundary": "zeros"}
    power, noise_spectrum = np.abs(stft(audio, **layout)[2]) ** 2, stft(noise, **layout)[2]
    bins = max(round(_WIDTH_HZ * _WINDOW / rate), 1) | 1
    noise_power = uniform_filter(np.abs(noise_spectrum) ** 2, (bins, 3)).mean()
    envelope = np.sqrt(uniform_filter(power, (bins, 3)) / noise_power)
    shaped = istft(noise_spectrum * envelope, **{k: v for k, v in layout.items() if k != "boundary"}, boundary=True)[1]
    shaped = np.pad(shaped, (0, max(len(audio) - len(shaped), 0)))[: len(audio)]
    pitched = np.repeat(voiced.astype(np.float32), hop)
    pitched = np.pad(pitched, (0, max(len(audio) - len(pitched), 0)), mode="edge")[: len(audio)]
    share = uniform_filter1d(pitched, max(round(2 * _FADE_S * rate), 1))
    return np.asarray(np.sqrt(share) * audio + np.sqrt(1 - share) * shaped, np.float32)
