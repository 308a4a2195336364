"""Mix parts: pan, align, level-match and sum sources."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.audio.loudness import BLOCK, SILENCE_LUFS, PowerCurve
from models.core.dtypes import DoubleArray
from models.core.progress import Watch
from models.core.types import Samples, Source
from models.mixing.dynamics import active_level, step_frames
from models.mixing.effects import pan_gains


@dataclass(frozen=True)
class MixPart:
    """A mono or stereo source in the mix: from `start_s`, `gain_db` louder, `pan` from -1 (left) to 1 (right).

    It is first brought to the active level of `level_reference`, the stem it replaces. From `stop_s` on (None: never)
    it fades out over the settings' `crossfade_s`.
    """

    source: Source
    start_s: float = 0.0
    gain_db: float = 0.0
    pan: float = 0.0
    stop_s: float | None = None
    level_reference: Source | None = None


def parts_power(
    parts: Sequence[MixPart], frames: int, sample_rate: int, watch: Watch, sections: DoubleArray | None = None
) -> DoubleArray:
    """Power every 5 ms of the summed parts, K-weighted or weighted by a filter; zeros without parts."""
    meter = PowerCurve(sample_rate, 2, step_frames(sample_rate), sections)
    for start in range(0, frames if parts else 0, BLOCK):
        watch.at(start / frames)
        stop = min(start + BLOCK, frames)
        meter.add(sum_parts(parts, start, stop, sample_rate, 0.0))
    return meter.powers() if parts else np.zeros(-(-frames // step_frames(sample_rate)))


def level_matched(part: MixPart, frames: int, watch: Watch) -> MixPart:
    """The part with the gain that matches the active level of its reference."""
    if part.level_reference is None or part.level_reference is part.source:
        return part
    rate = part.source.sample_rate
    levels = [
        active_level(parts_power([MixPart(x)], frames, rate, Watch(cancelled=watch.cancelled)))
        for x in (part.level_reference, part.source)
    ]
    return replace(part, gain_db=part.gain_db + levels[0] - levels[1]) if min(levels) > SILENCE_LUFS else part


def sum_parts(parts: Sequence[MixPart], start: int, stop: int, sample_rate: int, crossfade_s: float) -> Samples:
    """Frames [start, stop) of the parts, summed. Shape: (2, stop - start)."""
    total = np.zeros((2, stop - start), np.float32)
    for part in parts:
        first = round(part.start_s * sample_rate)
        if first >= stop or first + part.source.frames <= start:
            continue
        gains = pan_gains(part.pan) * np.float32(10 ** (part.gain_db / 20))
        sound = part.source.read(start - first, stop - first) * gains
        if part.stop_s is not None and part.stop_s * sample_rate < stop:
            fade = (np.arange(start, stop) / sample_rate - part.stop_s) / max(crossfade_s, 1 / sample_rate)
            sound *= np.cos(np.clip(fade, 0, 1) * np.pi / 2).astype(np.float32)
        total += sound
    return total
