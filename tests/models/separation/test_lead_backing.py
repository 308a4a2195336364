"""Multi-voice activity, backing vocals reassigned to a solo lead, and sung duration without separation residue."""

import numpy as np

from models.analysis.f0 import F0, sung_s, track_f0
from models.analysis.settings import F0Settings
from models.core.types import Wave
from models.separation.lead_backing import MultiVoiceActivity, multi_voice_activity, reassign_solo_backing
from models.separation.settings import SplitVocalsSettings
from models.synthesis.example_song.song import example_song

RATE = 44100


def lead(seed: int, seconds: float = 9.0) -> Wave:
    return example_song(seed, seconds).stems["lead_vocals"]


def test_one_voice_is_no_choir_and_a_choir_is_detected() -> None:
    one = lead(0)
    activity = multi_voice_activity(one, SplitVocalsSettings())
    assert activity.probability.max() < 0.2
    # three singers at once, each on another melody
    others = [lead(seed).samples for seed in (1, 2)]
    choir = Wave(one.samples + sum(others), one.sample_rate)
    probability = multi_voice_activity(choir, SplitVocalsSettings()).probability
    assert probability[60:-60].mean() > 0.7


def test_reassigned_parts_sum_to_the_input() -> None:
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((3, 2, 3 * RATE)).astype(np.float32)
    activity = MultiVoiceActivity(np.repeat(np.float32([0, 1]), 30), 0.05)
    blocks = [
        parts[..., :RATE],
        parts[..., RATE : 2 * RATE + 7],
        parts[..., 2 * RATE + 7 :],
    ]
    kept = np.concatenate(list(reassign_solo_backing(blocks, activity, RATE)), axis=-1)
    np.testing.assert_allclose(kept.sum(axis=0), parts.sum(axis=0), atol=1e-5)
    assert not kept[1, :, :RATE].any()
    np.testing.assert_array_equal(kept[1, :, -RATE:], parts[1, :, -RATE:])


def test_silence_has_no_choir() -> None:
    assert not multi_voice_activity(
        Wave(np.zeros((2, 2 * RATE), np.float32), RATE), SplitVocalsSettings()
    ).probability.any()


def test_a_voice_far_below_its_song_is_residue() -> None:
    voice = lead(0)
    f0 = track_f0(voice, F0Settings())
    voiced = float((f0.hz > 0).sum() * f0.hop_s)
    assert voiced > 3
    assert abs(sung_s(voice, voice, f0, 15.0) - voiced) < 0.1 * voiced
    loud = Wave(voice.samples * 100, voice.sample_rate)
    assert sung_s(voice, loud, f0, 15.0) == 0
    assert sung_s(voice, voice, F0(np.zeros_like(f0.hz), f0.hop_s), 15.0) == 0
