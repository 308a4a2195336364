"""Our meter against two others: pyloudnorm, and ffmpeg's ebur128 as a separate program."""

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pyloudnorm
import pytest
import soundfile

from models.audio.loudness import LoudnessMeter, k_weighting, measure, true_peaks
from models.core.errors import Cancelled
from models.core.progress import Watch
from models.core.types import Samples, Wave


def noise_song(rate: int, seconds: float = 6.0, channels: int = 2) -> Wave:
    """Noise that swells and stops, so that both gates matter."""
    rng = np.random.default_rng(3)
    frames = round(seconds * rate)
    swell = np.repeat([0.3, 0.03, 0.0, 0.1, 0.001, 0.2], -(-frames // 6))[:frames]
    return Wave((rng.standard_normal((channels, frames)) * swell * 0.5).astype(np.float32), rate)


def ffmpeg_reading(samples: Samples, rate: int, folder: Path) -> tuple[float, float]:
    """Integrated loudness (LUFS) and true peak (dBTP) as ffmpeg's ebur128 filter prints them."""
    path = folder / "measured.wav"
    soundfile.write(path, samples.T, rate, subtype="FLOAT")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostats",
        "-i",
        str(path),
        *("-af", "ebur128=peak=true", "-f", "null", "-"),
    ]
    summary = subprocess.run(command, capture_output=True, text=True, check=True).stderr.rsplit("Summary:", 1)[1]
    numbers = re.findall(r"(?:I|Peak):\s+(-?[\d.]+|-inf)", summary)
    return float(numbers[0]), float(numbers[-1])


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_agrees_with_pyloudnorm_and_ffmpeg(rate: int, channels: int, tmp_path: Path) -> None:
    song = noise_song(rate, channels=channels)
    ours = measure(song)
    theirs = pyloudnorm.Meter(rate).integrated_loudness(song.samples.T.astype(float))
    assert ours.loudness_lufs == pytest.approx(theirs, abs=0.1)
    loudness, peak = ffmpeg_reading(song.samples, rate, tmp_path)
    assert ours.loudness_lufs == pytest.approx(loudness, abs=0.1)
    assert ours.true_peak_dbtp == pytest.approx(peak, abs=0.2)


def test_the_standards_own_calibration_holds() -> None:
    """A 997 Hz sine at 0 dBFS in one channel reads -3.01 LUFS (BS.1770-4, annex 1)."""
    sine = np.sin(2 * np.pi * 997 * np.arange(48000 * 4) / 48000)
    assert measure(Wave(np.stack([sine, 0 * sine]).astype(np.float32), 48000)).loudness_lufs == pytest.approx(
        -3.01, abs=0.01
    )


def test_the_weighting_at_48_khz_is_the_standards_table() -> None:
    table = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    np.testing.assert_allclose(k_weighting(48000)[0], table, atol=1e-6)
    np.testing.assert_allclose(k_weighting(48000)[1, 4:], [-1.99004745483398, 0.99007225036621], atol=1e-6)


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
def test_a_peak_between_two_samples_is_seen(rate: int) -> None:
    sine = 0.5 * np.sin(2 * np.pi * np.arange(rate) / 4 + np.pi / 4)
    wave = Wave(np.tile(sine * np.hanning(rate) ** 0.1, (2, 1)).astype(np.float32), rate)
    assert np.abs(wave.samples).max() < 0.36
    expected = 20 * np.log10(0.5)
    assert measure(wave).true_peak_dbtp == pytest.approx(expected, abs=0.1)
    peaks = true_peaks(wave.samples, rate)
    assert peaks.shape == (rate - 32,)
    assert 20 * np.log10(peaks[rate // 2]) == pytest.approx(expected, abs=0.1)


def test_any_blocking_gives_the_same_reading() -> None:
    song = noise_song(44100)
    meter = LoudnessMeter(44100, 2)
    for start in range(0, song.frames, 1237):
        meter.add(song.read(start, min(start + 1237, song.frames)))
    whole = measure(song)
    assert meter.reading().loudness_lufs == pytest.approx(whole.loudness_lufs, abs=1e-9)
    assert meter.reading().true_peak_dbtp == pytest.approx(whole.true_peak_dbtp, abs=1e-5)


def test_silence_and_very_short_sounds_have_a_reading() -> None:
    silence = measure(Wave(np.zeros((2, 44100), np.float32), 44100))
    assert (silence.loudness_lufs, silence.true_peak_dbtp) == (-70.0, -120.0)
    assert measure(Wave(np.zeros((2, 0), np.float32), 44100)).loudness_lufs == -70.0
    click = np.zeros((1, 100), np.float32)
    click[0, -1] = 0.5
    assert measure(Wave(click, 44100)).true_peak_dbtp == pytest.approx(20 * np.log10(0.5), abs=0.3)


def test_measuring_reports_and_can_be_stopped() -> None:
    decoded: list[float] = []
    measure(noise_song(44100), Watch(decoded.append))
    assert decoded == sorted(decoded)
    assert len(decoded) > 3
    with pytest.raises(Cancelled):
        measure(noise_song(44100), Watch(decoded.append, lambda: True))
