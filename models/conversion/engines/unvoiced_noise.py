"""What has no pitch, made of noise: a small decoder repeats itself in each frame there, and hums at the frame rate.

The sound's spectral envelope is kept, wider than the hum's harmonics lie apart, and noise gets it (as the aperiodic
part of a vocoder: Morise et al., "WORLD", 2016).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter, uniform_filter1d
from scipy.signal import istft, stft

Floats = NDArray[np.float32]

_WINDOW, _HOP = 512, 128
_WIDTH_HZ = 350.0
_FADE_S = 0.008


def breathed(sung: Floats, voiced: NDArray[np.bool_], hop: int, rate: int, seed: int) -> Floats:
    """The sound with what is not voiced made of noise; equal seeds give equal samples. Shapes: (n,), (frames,) -> (n,).

    Frame i is centred at (i + 0.5) * `hop` samples.
    """
    if voiced.all() or len(sung) < _WINDOW:
        return sung
    noise = np.random.default_rng(seed).standard_normal(len(sung))
    layout = {"fs": rate, "nperseg": _WINDOW, "noverlap": _WINDOW - _HOP, "boundary": "zeros"}
    shape, grain = np.abs(stft(sung, **layout)[2]) ** 2, stft(noise, **layout)[2]
    bins = max(round(_WIDTH_HZ * _WINDOW / rate), 1) | 1
    envelope = np.sqrt(uniform_filter(shape, (bins, 3)) / uniform_filter(np.abs(grain) ** 2, (bins, 3)).mean())
    made = istft(grain * envelope, **{k: v for k, v in layout.items() if k != "boundary"}, boundary=True)[1]
    made = np.pad(made, (0, max(len(sung) - len(made), 0)))[: len(sung)]
    pitched = np.repeat(voiced.astype(np.float32), hop)
    pitched = np.pad(pitched, (0, max(len(sung) - len(pitched), 0)), mode="edge")[: len(sung)]
    share = uniform_filter1d(pitched, max(round(2 * _FADE_S * rate), 1))
    return np.asarray(np.sqrt(share) * sung + np.sqrt(1 - share) * made, np.float32)
