import numpy as np

from models.separation.training.sung_speech import speech_to_singing

RATE = 16000


def speech(seconds: float = 1.5) -> np.ndarray:
    """A gliding buzz in syllables, 120 Hz and around."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (0.1 * buzz * (np.sin(2 * np.pi * 3 * time) > -0.5)).astype(np.float32)


def test_singing_is_longer_than_the_speech_and_holds_its_notes():
    import librosa

    song = speech_to_singing(speech(), RATE, np.random.default_rng(2))
    assert 1.1 < len(song) / len(speech()) < 4
    assert np.isfinite(song).all()
    assert np.abs(song).max() <= 0.7 + 1e-6
    f0 = librosa.yin(song.astype(np.float64), fmin=60, fmax=900, sr=RATE, hop_length=256)
    steps = np.abs(np.diff(12 * np.log2(f0)))
    assert np.median(steps) < 0.25


def test_equal_seeds_give_equal_bytes():
    one, two, other = (speech_to_singing(speech(0.6), RATE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()
