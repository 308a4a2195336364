"""Frames without pitch become noise of the same colour and loudness; those with pitch stay as they are."""

import numpy as np

from models.conversion.engines.unvoiced_noise import replace_unvoiced

RATE, HOP = 22050, 256


def hum(seconds: float = 2.0) -> np.ndarray:
    """Noise that repeats itself each frame, as a decoder without randomness makes it."""
    grain = np.random.default_rng(0).standard_normal(HOP) * np.hanning(HOP)
    return np.tile(0.1 * grain, int(seconds * RATE / HOP)).astype(np.float32)


def repeating(sound: np.ndarray) -> float:
    """How like itself a sound is one frame later: 1 for a hum at the frame rate."""
    one, other = sound[:-HOP], sound[HOP:]
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def bands(sound: np.ndarray) -> np.ndarray:
    """The power in eight bands."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return np.asarray([part.sum() for part in np.array_split(power, 8)])


def test_a_hum_at_the_frame_rate_becomes_breath_of_the_same_colour() -> None:
    sound = hum()
    frames = len(sound) // HOP
    made = replace_unvoiced(sound, np.zeros(frames, bool), HOP, RATE, 0)
    assert made.shape == sound.shape
    assert made.dtype == np.float32
    assert repeating(sound) > 0.99
    assert abs(repeating(made)) < 0.15
    before, after = (bands(x) for x in (sound, made))
    assert np.abs(10 * np.log10(after / before)).max() < 3


def test_what_is_voiced_is_not_touched_and_equal_seeds_give_equal_samples() -> None:
    sound = hum()
    frames = len(sound) // HOP
    voiced = np.arange(frames) < frames // 2
    made = replace_unvoiced(sound, voiced, HOP, RATE, 3)
    half = frames // 2 * HOP - 1000
    np.testing.assert_array_equal(made[:half], sound[:half])
    assert not np.array_equal(made[half + 2000 :], sound[half + 2000 :])
    np.testing.assert_array_equal(made, replace_unvoiced(sound, voiced, HOP, RATE, 3))
    assert replace_unvoiced(sound, np.ones(frames, bool), HOP, RATE, 3) is sound


def test_short_and_silent_sounds_stay_finite() -> None:
    assert not replace_unvoiced(np.zeros(5000, np.float32), np.zeros(20, bool), HOP, RATE, 0).any()
    assert replace_unvoiced(np.ones(100, np.float32), np.zeros(1, bool), HOP, RATE, 0).shape == (100,)
