"""Loudness normalisation to a target, and a limiter that holds the true peak under a ceiling.

The limiter looks ahead by reading ahead, so it has no latency: its gain is the lowest that any peak nearby needs,
released exponentially, then smoothed by a window no longer than the look-ahead, so it is low enough at the peak.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.signal import oaconvolve
from scipy.signal.windows import hann

from models.audio.loudness import BLOCK, PEAK_REACH, SILENCE_LUFS, Loudness, LoudnessMeter, measure, true_peaks
from models.core.dtypes import DoubleArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.mixing.dynamics import exponential_release
from models.mixing.settings import MASTER_DEFAULTS, MasterSettings

__all__ = ["Loudness", "MasterPlan", "master", "measure", "plan_master"]

CEILING_MARGIN_DB = 0.1
"""Headroom below the ceiling: true-peak meters differ in interpolation, and a moving gain changes inter-sample
peaks."""
MAX_PASSES = 4


@dataclass(frozen=True)
class MasterPlan:
    """`gain_db` before the limiter, its largest reduction (`limiting_db`), the resulting loudness (LUFS).

    `reached` is False when the target would have needed more limiting than is allowed.
    """

    gain_db: float
    limiting_db: float
    loudness_lufs: float
    reached: bool


def plan_master(source: Source, settings: MasterSettings = MASTER_DEFAULTS, watch: Watch = UNWATCHED) -> MasterPlan:
    """The gain that brings a source to the target: measured, then corrected iteratively for the limiter's reduction."""
    measured = measure(source, watch.span(0, 1 / MAX_PASSES))
    if measured.loudness_lufs <= SILENCE_LUFS:
        return MasterPlan(0.0, 0.0, measured.loudness_lufs, False)
    headroom_db = settings.ceiling_dbtp - CEILING_MARGIN_DB - measured.true_peak_dbtp
    max_gain_db = headroom_db + settings.max_limiting_db
    gain_db = min(settings.target_lufs - measured.loudness_lufs, max_gain_db)
    loudness = measured.loudness_lufs + gain_db
    for pass_index in range(1, MAX_PASSES):
        if gain_db <= headroom_db:
            break
        meter = LoudnessMeter(source.sample_rate, source.channels)
        for block in _limited(
            source, gain_db, settings, watch.span(pass_index / MAX_PASSES, (pass_index + 1) / MAX_PASSES)
        ):
            meter.add(block)
        loudness = meter.reading().loudness_lufs
        missing_db = settings.target_lufs - loudness
        if abs(missing_db) < 0.05 or gain_db == max_gain_db or pass_index == MAX_PASSES - 1:
            break
        gain_db = min(gain_db + missing_db, max_gain_db)
    watch.at(1.0)
    reached = abs(loudness - settings.target_lufs) <= 0.5
    return MasterPlan(gain_db, max(0.0, gain_db - headroom_db), loudness, reached)


def master(
    source: Source,
    settings: MasterSettings = MASTER_DEFAULTS,
    watch: Watch = UNWATCHED,
    plan: MasterPlan | None = None,
) -> Iterator[Samples]:
    """The source at the target loudness under the true-peak ceiling, in blocks; as long as the source, not delayed.

    `plan` is the `plan_master` of the same source and settings; without it the source is measured first. Limiting stops
    at `max_limiting_db`: the result is then quieter than the target, and the plan's `reached` is False.
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
    reductions = _PeakReductions(source, float(gain), settings, ahead)
    pending = reductions.until(ahead)
    for start in range(0, source.frames, BLOCK):
        watch.at(start / source.frames)
        stop = min(start + BLOCK, source.frames)
        pending = np.concatenate([pending, reductions.until(stop + ahead)])
        block = source.read(start, stop) * gain
        if pending.any():
            curve = oaconvolve(pending, smoothing, "valid")
            block *= (10 ** (-np.maximum(curve, 0) / 20)).astype(np.float32)
        pending = pending[stop - start :]
        yield block
    watch.at(1.0)


class _PeakReductions:
    """The reduction in dB that each frame needs: peaks within the look-ahead, released exponentially.

    Read forwards, from one look-ahead before the first frame.
    """

    def __init__(self, source: Source, gain: float, settings: MasterSettings, ahead: int) -> None:
        self._source, self._ahead = source, ahead
        self._ceiling = 10 ** ((settings.ceiling_dbtp - CEILING_MARGIN_DB) / 20) / gain
        self._fall = 1 / (settings.release_s * source.sample_rate)
        self._at, self._last = -ahead, 0.0

    def until(self, stop: int) -> DoubleArray:
        """The reductions of the frames from the end of the last call up to `stop`."""
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
