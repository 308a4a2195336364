"""Where a voice sings, in phrases short enough to convert, cut where it breathes; and how loud it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, uniform_filter1d

from models.core.progress import UNWATCHED, Watch
from models.core.types import Source

LEVEL_HOP_S = 0.01
_BLOCK_S = 30.0


@dataclass(frozen=True)
class Phrase:
    """Frames [start, stop) of a level contour; `joined` when the next phrase goes on where this one stops."""

    start: int
    stop: int
    joined: bool


def level_contour(source: Source, watch: Watch = UNWATCHED) -> NDArray[np.float32]:
    """The level of the channels' mean in dBFS, a value each `LEVEL_HOP_S`, read in blocks. Shape: (frames,)."""
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


def sounding(level_db: NDArray[np.float32], gate_db: float, silence_dbfs: float) -> NDArray[np.bool_]:
    """Which frames are above the gate, which lies `gate_db` below the loud ones; 50 ms more to either side."""
    if not len(level_db):
        return np.zeros(0, bool)
    gate = max(float(np.percentile(level_db, 95)) - gate_db, silence_dbfs)
    return np.asarray(binary_dilation(level_db > gate, iterations=5), bool)


def phrases(level_db: NDArray[np.float32], sounds: NDArray[np.bool_], longest_s: float) -> list[Phrase]:
    """Runs of sounding frames; those over `longest_s` are cut at the quietest 50 ms of their second half."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sounds, [False]]).astype(np.int8)))
    longest = int(longest_s / LEVEL_HOP_S)
    smooth = uniform_filter1d(level_db.astype(np.float64), 5) if len(level_db) else level_db
    found = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        while stop - start > longest:
            low = start + longest // 2
            later = np.linspace(0.5, 0, start + longest - low)  # dB, so that equal levels are cut as late as may be
            cut = low + int(np.argmin(smooth[low : start + longest] + later))
            found.append(Phrase(int(start), cut, True))
            start = cut
        found.append(Phrase(int(start), int(stop), False))
    return found


def envelope(audio: NDArray[np.float32], sample_rate: int, width_s: float = 0.01) -> NDArray[np.float32]:
    """The root mean square of mono audio about each sample: three moving averages of `width_s`, centred.

    Its bell is wide enough not to follow the periods of a low voice, and neither early nor late, so that the ratio of
    two envelopes is neither. Shape: (n,) -> (n,).
    """
    width = max(round(width_s * sample_rate), 1) | 1
    power = audio.astype(np.float64) ** 2
    for _ in range(3):
        power = uniform_filter1d(power, width, mode="constant")
    return np.asarray(np.sqrt(np.maximum(power, 0)), np.float32)


def with_contour(
    sung: NDArray[np.float32], wanted: NDArray[np.float32], sample_rate: int, most_db: float = 24.0
) -> NDArray[np.float32]:
    """Audio with the loudness contour of other audio; nothing is raised by more than `most_db`. Shapes: (n,)."""
    own, aim = envelope(sung, sample_rate), envelope(wanted, sample_rate)
    gain = np.minimum(aim / np.maximum(own, 1e-6), 10 ** (most_db / 20))
    return np.asarray(sung * gain, np.float32)
