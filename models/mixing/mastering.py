"""The last step before the listener: a loudness target, and a limiter that holds the true peak under a ceiling.

The limiter looks ahead by reading ahead, so it delays nothing: its gain is the lowest that any peak nearby asks for,
let go exponentially, then smoothed by a window no longer than the look-ahead, so it is low enough where the peak is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import oaconvolve
from scipy.signal.windows import hann

from models.audio.loudness import BLOCK, PEAK_REACH, SILENCE_LUFS, Loudness, LoudnessMeter, measure, true_peaks
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.core.validation import check_ranges
from models.mixing.dynamics import exponential_release

__all__ = ["Loudness", "MasterPlan", "MasterSettings", "master", "measure", "plan_master"]

MARGIN_DB = 0.1
"""Kept below the ceiling: meters differ in how they interpolate, and a moving gain bends the wave a little."""
PASSES = 4


@dataclass(frozen=True)
class MasterSettings:
    """`target_lufs` (LUFS) is reached unless that would take more than `max_limiting_db` (dB) of limiting.

    The true peak stays below `ceiling_dbtp` (dBTP); the limiter looks `lookahead_s` ahead and lets go by 1/e in
    `release_s` (seconds).
    """

    target_lufs: float = -14.0
    ceiling_dbtp: float = -1.0
    max_limiting_db: float = 6.0
    lookahead_s: float = 0.004
    release_s: float = 0.08

    def __post_init__(self) -> None:
        check_ranges(
            self,
            target_lufs=(-70, 0),
            ceiling_dbtp=(-40, 0),
            max_limiting_db=(0, 60),
            lookahead_s=(0, 0.1),
            release_s=(0.001, 10),
        )


@dataclass(frozen=True)
class MasterPlan:
    """`gain_db` before the limiter, the most it then takes away (`limiting_db`), the loudness that comes out (LUFS).

    `reached` is False when the target was out of reach because it needed more limiting than is allowed.
    """

    gain_db: float
    limiting_db: float
    loudness_lufs: float
    reached: bool


def plan_master(source: Source, settings: MasterSettings = MasterSettings(), watch: Watch = UNWATCHED) -> MasterPlan:
    """The gain that brings a source to the target: measured, then corrected for what the limiter takes away."""
    before = measure(source, watch.span(0, 1 / PASSES))
    if before.loudness_lufs <= SILENCE_LUFS:
        return MasterPlan(0.0, 0.0, before.loudness_lufs, False)
    headroom_db = settings.ceiling_dbtp - MARGIN_DB - before.true_peak_dbtp
    most_db = headroom_db + settings.max_limiting_db
    gain_db = min(settings.target_lufs - before.loudness_lufs, most_db)
    loudness = before.loudness_lufs + gain_db
    for turn in range(1, PASSES):
        if gain_db <= headroom_db:
            break
        meter = LoudnessMeter(source.sample_rate, source.channels)
        for block in _limited(source, gain_db, settings, watch.span(turn / PASSES, (turn + 1) / PASSES)):
            meter.add(block)
        loudness = meter.reading().loudness_lufs
        missing_db = settings.target_lufs - loudness
        if abs(missing_db) < 0.05 or gain_db == most_db or turn == PASSES - 1:
            break
        gain_db = min(gain_db + missing_db, most_db)
    watch.at(1.0)
    reached = abs(loudness - settings.target_lufs) <= 0.5
    return MasterPlan(gain_db, max(0.0, gain_db - headroom_db), loudness, reached)


def master(
    source: Source,
    settings: MasterSettings = MasterSettings(),
    watch: Watch = UNWATCHED,
    plan: MasterPlan | None = None,
) -> Iterator[Samples]:
    """The source at the target loudness under the true-peak ceiling, in blocks; as long as the source, not delayed.

    `plan` is what `plan_master` said of the same source and settings; without it the source is measured first. Limiting
    stops at `max_limiting_db`: the result is then quieter than the target, and the plan's `reached` is False.
    """
    if plan is None:
        plan = plan_master(source, settings, watch.span(0.0, 0.75))
        watch = watch.span(0.75, 1.0)
    yield from _limited(source, plan.gain_db, settings, watch)


def _limited(source: Source, gain_db: float, settings: MasterSettings, watch: Watch) -> Iterator[Samples]:
    """The source with `gain_db`, limited."""
    gain = np.float32(10 ** (gain_db / 20))
    ahead = max(1, round(settings.lookahead_s * source.sample_rate))
    smoothing = hann(2 * ahead + 3)[1:-1]
    smoothing /= smoothing.sum()
    reductions = _Reductions(source, float(gain), settings, ahead)
    held = reductions.until(ahead)
    for start in range(0, source.frames, BLOCK):
        watch.at(start / source.frames)
        stop = min(start + BLOCK, source.frames)
        held = np.concatenate([held, reductions.until(stop + ahead)])
        block = source.read(start, stop) * gain
        if held.any():
            curve = oaconvolve(held, smoothing, "valid")
            block *= (10 ** (-np.maximum(curve, 0) / 20)).astype(np.float32)
        held = held[stop - start :]
        yield block
    watch.at(1.0)


class _Reductions:
    """The reduction in dB that each frame needs: peaks within the look-ahead, let go exponentially.

    Read forwards, from one look-ahead before the first frame.
    """

    def __init__(self, source: Source, gain: float, settings: MasterSettings, ahead: int) -> None:
        self._source, self._ahead = source, ahead
        self._ceiling = 10 ** ((settings.ceiling_dbtp - MARGIN_DB) / 20) / gain
        self._fall = 1 / (settings.release_s * source.sample_rate)
        self._at, self._last = -ahead, 0.0

    def until(self, stop: int) -> NDArray[np.float64]:
        """The reductions of the frames from where the last call ended up to `stop`."""
        reach = self._ahead + PEAK_REACH
        samples = self._source.read(self._at - reach, stop + reach)
        count, self._at = stop - self._at, stop
        peaks = true_peaks(samples, self._source.sample_rate)
        needed = 20 * np.log10(np.maximum(peaks / self._ceiling, 1.0))
        if self._last < 1e-6 and not needed.any():
            self._last = 0.0
            return np.zeros(count)
        nearby = maximum_filter1d(needed.astype(np.float64), 2 * self._ahead + 1)[self._ahead : self._ahead + count]
        released = exponential_release(nearby, self._fall, self._last)
        self._last = float(released[-1]) if count else self._last
        return released
