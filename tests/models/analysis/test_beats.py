import numpy as np
import pytest

from models.analysis.beats import TempoModel, decode_beats, decode_downbeats

FPS = 100.0


def estimate(beats_s: np.ndarray, duration_s: float, offbeats: float = 0.3, noise: float = 0.1) -> np.ndarray:
    """A beat activation: strong peaks on the beats, weaker ones between, and noise."""
    activation = noise * np.random.default_rng(0).random(round(duration_s * FPS))
    for times, height in ((beats_s, 1.0), ((beats_s[1:] + beats_s[:-1]) / 2, offbeats)):
        frames = np.round(times * FPS).astype(int)
        activation[frames[frames < len(activation)]] = height
    return activation


def decode(activation: np.ndarray) -> np.ndarray:
    return decode_beats(activation, FPS, TempoModel(55, 200, 20.0, 0.4)) / FPS


@pytest.mark.parametrize("bpm", [70, 97.3, 120, 150])
def test_steady_beats_are_found(bpm):
    beats = np.arange(0.37, 30, 60 / bpm)
    result = decode(estimate(beats, 30))
    assert len(result) == pytest.approx(len(beats), abs=1)
    assert np.abs(result[:, None] - beats).min(axis=1).max() < 0.03


def test_beats_are_followed_through_a_change_of_tempo():
    beats = np.cumsum(60 / np.linspace(90, 130, 60))
    result = decode(estimate(beats, beats[-1] + 0.5))
    max_near = np.abs(beats[:, None] - result).min(axis=1)
    assert np.mean(max_near < 0.04) > 0.95


def test_missing_beats_are_filled_in():
    beats = np.arange(0.5, 30, 0.5)
    played = beats[(beats < 12) | (beats > 16)]
    result = decode(estimate(played, 30, offbeats=0))
    assert np.abs(beats[:, None] - result).min(axis=1).max() < 0.04


@pytest.mark.parametrize(("metre", "phase"), [(4, 0), (4, 3), (3, 1)])
def test_bars_are_found_with_their_metre(metre, phase):
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 0.4, 64)
    scores[phase::metre] += 2
    result, indices = decode_downbeats(scores, (4, 3), 4.0)
    assert result == metre
    np.testing.assert_array_equal(indices, np.arange(phase, 64, metre))


def test_one_broken_bar_moves_the_bars_after_it():
    scores = np.zeros(66)
    scores[0:32:4] = 2
    scores[34::4] = 2
    _, indices = decode_downbeats(scores, (4,), 3.0)
    assert set(indices) >= set(range(0, 32, 4)) | set(range(34, 66, 4))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_few_beats_have_a_downbeat(count):
    assert len(decode_downbeats(np.zeros(count), (4, 3), 1.0)[1]) >= 1
