"""The master is as loud as asked, under its ceiling by an independent meter, and in time."""

from functools import cache
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soxr

from models.audio.loudness import measure
from models.core.errors import Cancelled
from models.core.progress import Watch
from models.core.types import Samples, Wave
from models.mixing.mastering import MasterPlan, master, plan_master
from models.mixing.settings import MasterSettings
from models.synthesis.example_song import example_song
from tests.models.audio.test_loudness import ffmpeg_reading

RATE = 44100


@cache
def song() -> Wave:
    return example_song(0, 4.0).mix


def mastered(source: Wave, settings: MasterSettings | None = None) -> tuple[Samples, MasterPlan]:
    settings = settings or MasterSettings()
    plan = plan_master(source, settings)
    return np.concatenate(list(master(source, settings, plan=plan)), axis=1), plan


def peaky(limiting_db: float) -> Wave:
    """Noise at -30 LUFS or so with short bursts that stand out so far that the target needs more limiting than that."""
    rng = np.random.default_rng(5)
    samples = rng.standard_normal((2, 6 * RATE)) * 10 ** (-33 / 20)
    bursts = np.zeros(6 * RATE)
    bursts[RATE // 2 :: RATE] = 10 ** ((-17 + limiting_db) / 20)
    return Wave((samples + np.convolve(bursts, np.hanning(30), "same")).astype(np.float32), RATE)


@pytest.mark.parametrize("gain_db", [-20.0, 12.0])
def test_the_example_song_reaches_the_target_by_independent_meters(gain_db: float, tmp_path: Path) -> None:
    source = Wave(song().samples * np.float32(10 ** (gain_db / 20)), RATE)
    samples, plan = mastered(source)
    assert samples.shape == source.samples.shape
    assert samples.dtype == np.float32
    loudness, peak = ffmpeg_reading(samples, RATE, tmp_path)
    assert loudness == pytest.approx(-14.0, abs=0.5)
    assert peak <= -1.0
    assert pyloudnorm.Meter(RATE).integrated_loudness(samples.T) == pytest.approx(plan.loudness_lufs, abs=0.15)
    assert plan.reached
    assert plan.limiting_db <= 6.0


def test_beyond_the_allowed_limiting_it_stops_and_says_so() -> None:
    source = peaky(12.0)
    samples, plan = mastered(source)
    assert not plan.reached
    assert plan.limiting_db == pytest.approx(6.0, abs=1e-6)
    measured = measure(Wave(samples, RATE))
    assert measured.loudness_lufs < -16
    assert measured.loudness_lufs == pytest.approx(plan.loudness_lufs, abs=0.05)
    assert measured.true_peak_dbtp <= -1.0
    _, freer = mastered(source, MasterSettings(max_limiting_db=20.0))
    assert freer.reached
    assert freer.limiting_db > 6.0


def test_what_needs_no_limiting_is_only_made_louder_and_nothing_is_delayed() -> None:
    source = Wave((np.random.default_rng(1).standard_normal((2, 3 * RATE)) * 0.01).astype(np.float32), RATE)
    samples, plan = mastered(source, MasterSettings(target_lufs=-30.0))
    assert plan.limiting_db == 0.0
    np.testing.assert_allclose(samples, source.samples * 10 ** (plan.gain_db / 20), rtol=1e-5)


def test_the_limiter_is_quiet_about_its_work() -> None:
    """Away from peaks the gain is the plan's; around them it moves smoothly; the peak stays on its sample."""
    source = peaky(4.0)
    samples, plan = mastered(source)
    assert 2 < plan.limiting_db < 6
    gain = np.divide(
        samples[0], source.samples[0], where=np.abs(source.samples[0]) > 1e-4, out=np.full(6 * RATE, np.nan)
    )
    gain_db = 20 * np.log10(gain) - plan.gain_db
    assert np.nanmin(gain_db) == pytest.approx(-plan.limiting_db, abs=0.3)
    assert np.nanmax(gain_db) < 1e-3
    before_burst = gain_db[RATE // 2 - round(0.01 * RATE) : RATE // 2 - round(0.009 * RATE)]
    assert np.nanmin(before_burst) > -1e-3 - 0.05
    assert np.nanmax(np.abs(np.diff(gain_db[np.isfinite(gain_db)]))) < 0.2
    assert np.argmax(np.abs(samples[0, :RATE])) == np.argmax(np.abs(source.samples[0, :RATE]))


def test_the_ceiling_holds_between_the_samples_and_at_sudden_starts() -> None:
    frame = np.arange(2 * RATE)
    wave = np.sin(2 * np.pi * frame / 4 + np.pi / 4) * np.where(frame % RATE < RATE // 4, 1.0, 0.3)
    samples, _ = mastered(Wave(np.tile(wave, (2, 1)).astype(np.float32), RATE), MasterSettings(target_lufs=-3.0))
    dense = soxr.resample(samples[0].astype(float), RATE, 8 * RATE, "VHQ")
    assert 10 ** (-1.3 / 20) < np.abs(dense).max() <= 10 ** (-1 / 20)


def test_silence_and_mono_are_fine() -> None:
    silent, plan = mastered(Wave(np.zeros((2, RATE), np.float32), RATE))
    assert not silent.any()
    assert not plan.reached
    mono = Wave(song().samples[:1], RATE)
    samples, plan = mastered(mono)
    assert samples.shape == mono.samples.shape
    assert plan.reached


def test_mastering_streams_and_can_be_stopped() -> None:
    reads: list[int] = []

    class Long(Wave):
        def read(self, start: int, stop: int) -> Samples:
            reads.append(stop - start)
            return super().read(start, stop)

    source = Long(np.tile(song().samples, 3), RATE)
    progress: list[float] = []
    total = sum(block.shape[1] for block in master(source, watch=Watch(progress.append)))
    assert total == source.frames
    assert max(reads) < 1.1 * (1 << 16)
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    with pytest.raises(Cancelled):
        next(master(source, watch=Watch(cancelled=lambda: True)))
