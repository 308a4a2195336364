"""The report's measurements against signals and notes whose truth is known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.analysis.f0 import F0
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Score, Wave
from models.report import audio_metrics, score_metrics
from models.report.metrics import measure
from models.report.types import Metric, ReportInput
from tests.support.report_song import RATE, grid, melody, noise, remix


def clicks(times_s: NDArray[np.float64], seconds: float, rate: int = 44_100) -> Wave:
    samples = np.zeros(round(seconds * rate), np.float32)
    decay = np.exp(-np.arange(rate // 20) / (rate / 100))
    burst = (np.random.default_rng(7).normal(0, 0.3, rate // 20) * decay).astype(np.float32)
    for time in times_s:
        start = round(time * rate)
        samples[start : start + len(burst)] += burst[: len(samples) - start]
    return Wave(samples[None], rate)


def figure(data: ReportInput, name: str) -> Metric:
    return next(f for f in measure(data).metrics if f.name == name)


def test_stems_that_add_up_null_and_a_missing_one_shows() -> None:
    song = remix()
    assert audio_metrics.null_test_db(song.original, list(song.stems.values()), UNWATCHED) < -90
    alone = audio_metrics.null_test_db(song.original, [song.stems["other"]], UNWATCHED)
    assert alone == pytest.approx(-3, abs=0.2)  # half the power is missing


def test_vocals_given_whole_and_in_parts_are_counted_once() -> None:
    song = remix()
    lead = song.stems["lead_vocals"]
    whole = replace(song, stems={"vocals": lead, "lead_vocals": lead, "other": song.stems["other"]})
    assert figure(whole, "Stem-sum null test").value < -90


@pytest.mark.parametrize("leak_db", [-10.0, -20.0])
def test_vocal_leakage_is_the_level_of_the_leak(leak_db: float) -> None:
    lead, band = noise(40, 1), noise(40, 2)
    leaky = Wave(band + np.float32(10 ** (leak_db / 20)) * np.roll(lead, 5, axis=1), RATE)
    assert audio_metrics.vocal_residue_db(Wave(lead, RATE), leaky, UNWATCHED) == pytest.approx(leak_db, abs=1.0)


def test_independent_backing_has_no_vocal_residue() -> None:
    assert audio_metrics.vocal_residue_db(Wave(noise(40, 1), RATE), Wave(noise(40, 2), RATE), UNWATCHED) < -30


def test_cross_correlation_is_that_of_the_whole_signals() -> None:
    rate = audio_metrics.CORRELATION_RATE
    x, y = noise(27, 3, rate)[0], noise(31, 4, rate)[0]
    y[20 * rate :] += x[7 * rate : 18 * rate]  # 13 s late: outside the lags that are looked at
    y[: 5 * rate] += 0.5 * x[rate : 6 * rate]
    lags, values = audio_metrics.cross_correlation(Wave(x[None], rate), Wave(y[None], rate), UNWATCHED)
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    for lag in (-rate, 0, 40_001):
        shifted = y[max(lag, 0) : lag + len(x)]
        there = x[max(-lag, 0) : max(-lag, 0) + len(shifted)]
        assert values[np.argmin(np.abs(lags - lag / rate))] == pytest.approx(float(there @ shifted) / scale, abs=1e-4)
    assert lags[np.argmax(np.abs(values))] == pytest.approx(-1.0)
    curve = audio_metrics.lag_power(lags, values)
    assert curve.x[int(np.argmax(curve.y))] == pytest.approx(-1.0, abs=0.06)


def test_an_inverted_late_copy_is_found_whole() -> None:
    x = noise(30, 5)
    late = Wave(-np.pad(x, ((0, 0), (RATE // 20, 0))), RATE)
    data = remix(original=Wave(x, RATE), mix=late, stems={})
    assert figure(data, "Cross-correlation maximum").value == pytest.approx(1.0, abs=0.01)
    assert figure(data, "Lag of the maximum").value == pytest.approx(50, abs=0.2)


@pytest.mark.parametrize("rate", [44_100, 8000])
def test_a_full_scale_sine_reads_0_db_in_its_band(rate: int) -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(10 * rate) / rate).astype(np.float32)
    curve = audio_metrics.spectrum(Wave(sine[None], rate), "sine", UNWATCHED)
    levels = dict(zip(curve.x, curve.y, strict=True))
    assert levels[1000.0] == pytest.approx(0.0, abs=0.3)
    assert max(level for hertz, level in levels.items() if not 700 < hertz < 1400) < -45
    assert max(curve.x) < rate / 2


def test_late_onsets_and_a_drifting_tempo_are_distinguished() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.2, 0.5, 150)) + 0.5
    song = clicks(times, 60)
    _, lags = audio_metrics.onset_lags(song, clicks(times + 0.012, 60), UNWATCHED)
    assert np.allclose(1000 * lags, 12, atol=1)
    data = remix(original=song, mix=clicks(times * 1.0005, 60), stems={}, revoiced=None)
    assert figure(data, "Onset drift").value == pytest.approx(1000 * 0.0005 * 36, abs=3)
    assert figure(data, "Onset drift").word == "fair"


def test_a_band_that_plays_other_things_on_the_same_beats_is_still_timed() -> None:
    rng = np.random.default_rng(3)
    shared, own, other = (np.sort(rng.uniform(0.5, 58, 60)) for _ in range(3))
    remixed = clicks(np.concatenate([shared, other]) + 0.012, 60)
    data = remix(original=clicks(np.concatenate([shared, own]), 60), mix=remixed, stems={}, revoiced=None)
    assert figure(data, "Onset offset").value == pytest.approx(12, abs=1)
    assert abs(figure(data, "Onset drift").value) < 2


def test_unrelated_music_has_no_timing() -> None:
    times = np.random.default_rng(4).uniform(0.5, 58, (2, 120))
    _, lags = audio_metrics.onset_lags(clicks(np.sort(times[0]), 60), clicks(np.sort(times[1]), 60), UNWATCHED)
    assert len(lags) == 0


def test_pitch_of_a_shifted_voice_is_the_same_melody() -> None:
    data = remix()
    assert data.f0_original is not None
    up = F0(data.f0_original.hz * np.float32(2 ** (5 / 12)), 0.01)
    shifted = {f.name: f for f in measure(replace(data, f0_revoiced=up)).metrics}
    assert shifted["Pitch correlation"].value == pytest.approx(1.0, abs=1e-4)
    assert shifted["Pitch error"].value < 1
    assert "5 semitones up" in shifted["Pitch error"].meaning


def test_pitch_error_and_voicing_are_what_was_put_in() -> None:
    data = remix()
    assert data.f0_original is not None
    cents = np.random.default_rng(1).normal(0, 60, 1600)
    hz = data.f0_original.hz * 2 ** (cents / 1200)
    hz[:160] = 0
    result = {f.name: f for f in measure(replace(data, f0_revoiced=F0(hz.astype(np.float32), 0.01))).metrics}
    assert result["Pitch error"].value == pytest.approx(60, abs=4)
    assert result["Pitch error"].word == "fair"
    assert result["Voicing error"].value == pytest.approx(10, abs=0.2)


def test_notes_in_key_in_chord_and_shared_are_counted() -> None:
    made = melody([60, 61, 64, 67] * 8)  # one in four is outside C major and outside both chords
    result = {f.name: f for f in measure(remix(extended=made)).metrics}
    assert result["In key"].value == pytest.approx(75)
    assert result["Pitch-class overlap"].value == pytest.approx(75)  # C, E and G are shared; C♯ and the second C not
    in_chord = 100 * (4 * 3 + 4 * 2) / 32  # C E G over C, but only C E over A minor
    assert result["Chord-tone ratio"].value == pytest.approx(in_chord)
    assert result["Groove consistency"].value == pytest.approx(1.0)


def test_groove_consistency_separates_another_rhythm() -> None:
    bars = score_metrics.bar_rhythms(melody([60] * 32), grid())
    assert bars.shape == (8, 16)
    assert bars.sum() == 32
    other = score_metrics.bar_rhythms(melody([60] * 64, step_s=0.25), grid())
    assert score_metrics.groove_consistency(bars, bars) == 1.0
    assert score_metrics.groove_consistency(bars, other) == pytest.approx(0.75)


def test_what_cannot_be_measured_is_left_out() -> None:
    data = remix(stems={}, revoiced=None, f0_original=None, f0_revoiced=None, extended=Score(()), score=Score(()))
    names = {f.name for f in measure(data).metrics}
    assert "Loudness" in names
    assert not names & {
        "Pitch error",
        "In key",
        "Chord-tone ratio",
        "Groove consistency",
        "Vocal leakage",
        "Vocal onset offset",
    }


def test_words_follow_loudness_and_peak() -> None:
    result = {f.name: f.word for f in measure(remix(loudness_lufs=-15.5, true_peak_dbtp=0.4)).metrics}
    assert (result["Loudness"], result["True peak"]) == ("fair", "look here")


def test_numbers_are_finite_for_silence_and_for_a_second() -> None:
    silence = Wave(np.zeros((2, RATE), np.float32), RATE)
    data = remix(original=silence, mix=silence, stems={"lead_vocals": silence}, revoiced=silence, backing=silence)
    assert all(np.isfinite(f.value) for f in measure(data).metrics)
    short = Wave(noise(1, 1), RATE)
    assert all(np.isfinite(f.value) for f in measure(remix(original=short, mix=short, stems={"other": short})).metrics)


@dataclass
class Endless:
    """Two minutes of a tone that are never in memory at once, and the longest block that was asked for."""

    sample_rate: int = 8000
    channels: int = 1
    frames: int = 8000 * 120
    longest: int = 0

    def read(self, start: int, stop: int) -> Samples:
        self.longest = max(self.longest, stop - start)
        samples = np.sin(np.arange(start, stop) * 0.3).astype(np.float32)[None]
        samples[:, max(self.frames - start, 0) :] = 0
        return samples


def test_long_songs_are_read_in_blocks_and_progress_is_reported() -> None:
    song, progress = Endless(), list[float]()
    measure(
        remix(original=song, mix=song, stems={"lead_vocals": song}, backing=song, revoiced=song), Watch(progress.append)
    )
    assert song.longest <= 30 * song.sample_rate
    assert len(progress) > 20
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_hard_splices_are_clicks_and_smooth_singing_is_not() -> None:
    rate, seconds = 44_100, 45
    times = np.arange(rate * seconds) / rate
    tone = 0.3 * np.sin(2 * np.pi * 220 * times + 2 * np.sin(2 * np.pi * 5 * times))
    sung = (tone + np.random.default_rng(0).normal(0, 0.002, len(tone))).astype(np.float32)
    assert figure(remix(revoiced=Wave(sung[None], rate)), "Clicks").value == 0
    spliced = sung.copy()
    for start in (10.0, 20.0, 33.3):  # 20 s is where two blocks meet
        spliced[round(start * rate) :] += 0.2
    result = audio_metrics.clicks_s(Wave(spliced[None], rate), UNWATCHED)
    assert np.allclose(result, [10.0, 20.0, 33.3], atol=2e-4)
    seams = figure(remix(revoiced=Wave(spliced[None], rate)), "Clicks")
    assert (seams.value, seams.word) == (3.0, "look here")
    assert "0:10" in seams.meaning


def test_metrics_computed_elsewhere_stand_beside_the_others() -> None:
    likeness = Metric("Likeness", 0.7, "", "good", "How alike.", "Voice")
    names = [f.name for f in measure(remix(measured=(likeness,))).metrics]
    assert names.index("Clicks") < names.index("Likeness") < names.index("In key")
