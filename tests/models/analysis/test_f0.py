import numpy as np
import pytest

from models.analysis.f0 import F0, track_f0
from models.analysis.settings import F0Settings
from models.core.errors import Cancelled
from models.core.progress import Watch
from models.core.types import Wave

RATE = 22_050


def sung(hz: np.ndarray, rate: int = RATE, partials: int = 12, tilt: float = 1.0) -> np.ndarray:
    """Harmonics of a frequency curve given a sample; partials above 0.45 of the rate are left out."""
    phase = 2 * np.pi * np.cumsum(hz) / rate
    audio = sum(np.sin(k * phase) * (k * hz < 0.45 * rate) / k**tilt for k in range(1, partials + 1))
    return (0.2 * audio * (hz > 0)).astype(np.float32)


def cents_off(track: F0, truth: np.ndarray, rate: int = RATE) -> np.ndarray:
    """Cents off, over the frames that both call voiced and whose neighbours are voiced too."""
    index = np.minimum((np.arange(len(track.hz)) * track.hop_s * rate).astype(int), len(truth) - 1)
    both = (track.hz > 0) & (truth[index] > 0)
    return np.abs(1200 * np.log2(track.hz[both] / truth[index][both]))


@pytest.mark.parametrize("base_hz", [82.0, 196.0, 440.0, 987.0])
def test_vibrato_is_followed_within_a_few_cents(base_hz: float) -> None:
    time = np.arange(3 * RATE) / RATE
    truth = base_hz * 2 ** (0.5 / 12 * np.sin(2 * np.pi * 5.5 * time))
    track = track_f0(Wave(sung(truth)[None], RATE), F0Settings())
    assert (track.hz > 0).mean() > 0.97
    off = cents_off(track, truth)
    assert np.median(off) < 6
    assert (off < 300).all()


def test_a_weak_fundamental_is_not_taken_for_its_octave() -> None:
    time = np.arange(2 * RATE) / RATE
    truth = np.full(len(time), 220.0)
    audio = 0.02 * np.sin(2 * np.pi * 220 * time) + sum(0.2 * np.sin(2 * np.pi * 220 * k * time) for k in (2, 3, 4))
    track = track_f0(Wave(audio.astype(np.float32)[None], RATE), F0Settings())
    assert np.median(cents_off(track, truth)) < 3
    assert (cents_off(track, truth) < 50).mean() > 0.99


def test_an_octave_error_of_a_few_frames_is_repaired() -> None:
    time = np.arange(2 * RATE) / RATE
    audio = sung(np.full(len(time), 200.0))
    middle = slice(RATE, RATE + int(0.03 * RATE))
    audio[middle] = 0.3 * np.sin(2 * np.pi * 400 * time[middle])
    track = track_f0(Wave(audio[None], RATE), F0Settings())
    assert np.abs(1200 * np.log2(track.hz[track.hz > 0] / 200)).max() < 300


def test_noise_silence_and_residue_have_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    loud = sung(np.full(RATE, 300.0))
    residue = 0.002 * sung(np.full(RATE, 300.0))
    audio = np.concatenate([noise, np.zeros(RATE, np.float32), loud, residue])
    hz = track_f0(Wave(audio[None], RATE), F0Settings()).hz
    assert (hz[:95] > 0).mean() < 0.05
    assert not hz[105:195].any()
    assert (hz[205:295] > 0).all()
    assert not hz[305:].any()


def test_one_frame_each_hop_and_channels_are_averaged() -> None:
    audio = sung(np.full(RATE, 250.0))
    stereo = np.stack([2 * audio, np.zeros_like(audio)])
    settings = F0Settings(hop_s=0.02)
    track = track_f0(Wave(stereo, RATE), settings)
    assert len(track.hz) == 51
    np.testing.assert_array_equal(track.hz, track_f0(Wave(audio[None], RATE), settings).hz)


def test_a_song_longer_than_a_block_is_tracked_without_a_seam() -> None:
    time = np.arange(45 * 8000) / 8000
    truth = 200 * 2 ** (np.sin(2 * np.pi * 0.2 * time) / 2)
    track = track_f0(Wave(sung(truth, 8000)[None], 8000), F0Settings())
    assert (track.hz > 0).mean() > 0.99
    assert cents_off(track, truth, 8000).max() < 60


def test_a_track_is_read_between_its_frames() -> None:
    track = F0(np.array([100, 200, 0, 0], np.float32), 0.01)
    np.testing.assert_allclose(track.at(np.array([0.0, 0.005, 0.01, 0.02, 0.5])), [100, 141.42, 200, 0, 0], rtol=1e-4)


def test_it_stops_when_asked() -> None:
    with pytest.raises(Cancelled):
        track_f0(Wave(np.zeros((1, RATE), np.float32), RATE), F0Settings(), Watch(cancelled=lambda: True))
