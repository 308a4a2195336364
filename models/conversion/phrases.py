"""Level contours, segmentation of vocals into phrases, and loudness matching."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, uniform_filter1d

from models.core.dtypes import BoolArray, FloatArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Source

LEVEL_HOP_S = 0.01
_BLOCK_S = 30.0


@dataclass(frozen=True)
class Phrase:
    """Frames [start, stop) of a level contour; `joined` when the next phrase starts where this one stops."""

    start: int
    stop: int
    joined: bool


def level_contour(source: Source, watch: Watch = UNWATCHED) -> FloatArray:
    """RMS level of the mono mix in dBFS, a value each `LEVEL_HOP_S`, read in blocks. Shape: (frames,)."""
    hop = source.sample_rate * LEVEL_HOP_S
    frames = int(np.ceil(source.frames / hop))
    level = np.full(frames, -200.0, np.float32)
    step = int(_BLOCK_S / LEVEL_HOP_S)
    for start in range(0, frames, step):
        watch.at(start / frames)
        stop = min(start + step, frames)
        edges = np.round(np.arange(start, stop + 1) * hop).astype(int)
        power = source.read(edges[0], edges[-1]).mean(axis=0).astype(np.float64) ** 2
        sums = np.add.reduceat(power, edges[:-1] - edges[0])
        level[start:stop] = 10 * np.log10(sums / np.diff(edges) + 1e-20)
    return level


def active_frames(level_db: FloatArray, gate_db: float, silence_dbfs: float) -> BoolArray:
    """Frames above a gate `gate_db` below the 95th percentile, at least `silence_dbfs`; dilated by 50 ms."""
    if not len(level_db):
        return np.zeros(0, bool)
    gate = max(float(np.percentile(level_db, 95)) - gate_db, silence_dbfs)
    return np.asarray(binary_dilation(level_db > gate, iterations=5), bool)


def split_phrases(level_db: FloatArray, active: BoolArray, max_s: float) -> list[Phrase]:
    """Runs of active frames; those over `max_s` are split at the quietest 50 ms of their second half."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    max_frames = int(max_s / LEVEL_HOP_S)
    smooth = uniform_filter1d(level_db.astype(np.float64), 5) if len(level_db) else level_db
    phrases = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        while stop - start > max_frames:
            low = start + max_frames // 2
            penalty = np.linspace(0.5, 0, start + max_frames - low)  # dB; splits frames of equal level late
            cut = low + int(np.argmin(smooth[low : start + max_frames] + penalty))
            phrases.append(Phrase(int(start), cut, True))
            start = cut
        phrases.append(Phrase(int(start), int(stop), False))
    return phrases


def rms_envelope(audio: FloatArray, sample_rate: int, width_s: float = 0.01) -> FloatArray:
    """RMS envelope of mono audio, smoothed by three centred moving averages of `width_s`.

    The window is wide enough not to follow the periods of a low voice, and has no delay. Shape: (n,) -> (n,).
    """
    width = max(round(width_s * sample_rate), 1) | 1
    power = audio.astype(np.float64) ** 2
    for _ in range(3):
        power = uniform_filter1d(power, width, mode="constant")
    return np.asarray(np.sqrt(np.maximum(power, 0)), np.float32)


def match_loudness(audio: FloatArray, reference: FloatArray, sample_rate: int, max_gain_db: float = 24.0) -> FloatArray:
    """Audio with the RMS envelope of a reference; the gain is at most `max_gain_db`. Shapes: (n,)."""
    own, target = rms_envelope(audio, sample_rate), rms_envelope(reference, sample_rate)
    gain = np.minimum(target / np.maximum(own, 1e-6), 10 ** (max_gain_db / 20))
    return np.asarray(audio * gain, np.float32)
