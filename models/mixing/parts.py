"""Where sources stand in time and place: added up, measured, and made as loud as what they stand in for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.audio.loudness import BLOCK, SILENCE_LUFS, PowerCurve
from models.core.progress import Watch
from models.core.types import Samples, Source
from models.mixing.dynamics import Curve, active_level, step_frames
from models.mixing.effects import sides


@dataclass(frozen=True)
class Part:
    """A mono or stereo source in the mix: from `start_s`, `gain_db` louder, `pan` from -1 (left) to 1 (right).

    It is first made as loud as `like`, the stem it stands in for. From `stop_s` on (None: never) it gives way to what
    follows: it fades out over the settings' `crossfade_s`.
    """

    source: Source
    start_s: float = 0.0
    gain_db: float = 0.0
    pan: float = 0.0
    stop_s: float | None = None
    like: Source | None = None


def powers_of(
    parts: Sequence[Part], frames: int, sample_rate: int, watch: Watch, sections: NDArray[np.float64] | None = None
) -> Curve:
    """Power each 5 ms of parts added up, K-weighted or weighted by a filter; zeros where there are none."""
    meter = PowerCurve(sample_rate, 2, step_frames(sample_rate), sections)
    for start in range(0, frames if parts else 0, BLOCK):
        watch.at(start / frames)
        stop = min(start + BLOCK, frames)
        meter.add(placed(parts, start, stop, sample_rate, 0.0))
    return meter.powers() if parts else np.zeros(-(-frames // step_frames(sample_rate)))


def levelled(part: Part, frames: int, watch: Watch) -> Part:
    """The part with the gain that makes it as loud as what it is to be like, both where they sound."""
    if part.like is None or part.like is part.source:
        return part
    rate = part.source.sample_rate
    levels = [
        active_level(powers_of([Part(x)], frames, rate, Watch(cancelled=watch.cancelled)))
        for x in (part.like, part.source)
    ]
    return replace(part, gain_db=part.gain_db + levels[0] - levels[1]) if min(levels) > SILENCE_LUFS else part


def placed(parts: Sequence[Part], start: int, stop: int, sample_rate: int, crossfade_s: float) -> Samples:
    """Frames [start, stop) of the parts where they stand. Shape: (2, stop - start)."""
    total = np.zeros((2, stop - start), np.float32)
    for part in parts:
        first = round(part.start_s * sample_rate)
        if first >= stop or first + part.source.frames <= start:
            continue
        gains = sides(part.pan) * np.float32(10 ** (part.gain_db / 20))
        sound = part.source.read(start - first, stop - first) * gains
        if part.stop_s is not None and part.stop_s * sample_rate < stop:
            gone = (np.arange(start, stop) / sample_rate - part.stop_s) / max(crossfade_s, 1 / sample_rate)
            sound *= np.cos(np.clip(gone, 0, 1) * np.pi / 2).astype(np.float32)
        total += sound
    return total
