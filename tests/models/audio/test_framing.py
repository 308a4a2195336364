import numpy as np
import pytest

from models.audio.framing import frame_windows, levels_db, magnitudes, mono_blocks, velocity
from models.core.types import Wave


def sine(seconds: float, rate: int, hz: float = 440.0, channels: int = 2) -> Wave:
    wave = np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return Wave(np.tile(wave, (channels, 1)).astype(np.float32), rate)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 96_000])
def test_blocks_are_the_source_at_another_rate_without_delay(rate):
    blocks = list(mono_blocks(sine(2.5, rate), 22_050, block_s=0.4))
    joined = np.concatenate(blocks)
    assert len(blocks) > 3
    assert len(joined) == pytest.approx(2.5 * 22_050, abs=1)
    expected = sine(2.5, 22_050).samples[0][: len(joined)]
    np.testing.assert_allclose(joined[500:-500], expected[500 : len(joined) - 500], atol=2e-3)


def test_channels_are_averaged():
    wave = Wave(np.stack([np.ones(100), -np.ones(100), np.full(100, 0.3)]).astype(np.float32), 22_050)
    np.testing.assert_allclose(np.concatenate(list(mono_blocks(wave, 22_050))), 0.1, atol=1e-6)


@pytest.mark.parametrize(("frames", "lead"), [(100, 0), (101, 7), (9, 3), (0, 5), (40, 0)])
def test_overlapping_windows_are_those_of_a_plain_loop(frames, lead):
    audio = np.arange(1, frames + 1, dtype=np.float32)
    padded = np.concatenate([np.zeros(lead, np.float32), audio])
    expected = [np.pad(padded[i : i + 20], (0, max(0, i + 20 - len(padded)))) for i in range(0, len(padded), 8)]
    blocks = [audio[i : i + 13] for i in range(0, frames, 13)]
    found = list(frame_windows(iter(blocks), 20, 8, lead))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_magnitudes_are_those_of_one_transform_of_the_whole():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(22_050 * 21).astype(np.float32)  # more than one block
    found = np.concatenate(list(magnitudes(Wave(samples[None], 22_050), 22_050, 512, 100)))
    padded = np.pad(samples, (256, 512))
    taper = np.hanning(513)[:-1]
    for i in (0, 1, 700, len(found) - 2):
        row = np.abs(np.fft.rfft(padded[i * 100 : i * 100 + 512] * taper)) / (taper.sum() / 2)
        np.testing.assert_allclose(found[i], row, atol=1e-4)
    assert len(found) == len(samples) // 100 + 1


def test_a_full_scale_sine_has_magnitude_one():
    spectrum = np.concatenate(list(magnitudes(sine(1.0, 22_050, hz=22_050 / 16), 22_050, 1024, 512)))
    assert spectrum[20].max() == pytest.approx(1.0, abs=1e-3)


def test_levels_and_velocities():
    ramp = np.concatenate([np.full(4_000, 0.5), np.full(4_000, 0.05), np.zeros(4_000)]).astype(np.float32)
    level = levels_db(Wave(ramp[None], 4_000), 0.01, 300)
    np.testing.assert_allclose(level[[50, 150, 250]], [-6.02, -26.02, -120], atol=0.05)
    assert [velocity(db, -6.0) for db in (-6.0, -12.0, -60.0, 6.0)] == [100, 50, 8, 127]
