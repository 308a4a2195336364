from dataclasses import replace

import numpy as np
import pytest
import torch

from models.analysis.f0 import F0, track_f0
from models.conversion import metrics
from models.conversion.content import debug_config, init_encoder
from models.conversion.convert import load_voice
from models.conversion.evaluation.voice import (
    ConvertedClip,
    EvaluationClip,
    PhoneClassifier,
    VoiceMetrics,
    clip_metrics,
    convert_clip,
    means,
    measure,
)
from models.conversion.metrics import dnsmos_scores, speaker_embedding, speaker_similarity
from models.conversion.settings import ConvertSettings
from models.conversion.training.phones import PHONES
from models.conversion.voices.registry import VocalRange, find_voice
from models.core.types import Wave
from models.synthesis.example_song import example_song

RATE = 22_050


def sung(hz: float, formant: float, seconds: float = 2.0) -> Wave:
    time = np.arange(round(seconds * RATE)) / RATE
    audio = sum(
        (0.05 + np.exp(-(((k * hz - formant) / 300) ** 2))) * np.sin(2 * np.pi * k * hz * time) for k in range(1, 40)
    )
    return Wave((0.1 * np.asarray(audio)).astype(np.float32)[None], RATE)


@pytest.fixture(scope="module")
def phone_classifier() -> PhoneClassifier:
    encoder = init_encoder(debug_config(), 0).eval()
    rng = torch.Generator().manual_seed(0)
    return PhoneClassifier(encoder, torch.randn(len(PHONES), 16, generator=rng), torch.zeros(len(PHONES)))


def test_a_copy_is_perfect(phone_classifier: PhoneClassifier) -> None:
    audio = sung(220, 1000)
    clip = EvaluationClip("a", audio, F0(np.full(201, 220, np.float32), 0.01))
    metrics = measure(clip, None, speaker_embedding(audio), phone_classifier, ConvertSettings(), "cpu")
    assert metrics.median_cents < 3
    assert metrics.within_50 > 0.99
    assert metrics.like_target == pytest.approx(1.0, abs=1e-5)
    assert metrics.like_source == pytest.approx(1.0, abs=1e-5)
    assert metrics.phones == pytest.approx(1.0)
    assert metrics.realtime == 0


def test_a_converted_clip_is_measured_and_timed(phone_classifier: PhoneClassifier) -> None:
    clip = EvaluationClip("a", sung(220, 1000))
    world = measure(clip, load_voice(find_voice("world"), "cpu"), None, phone_classifier, ConvertSettings(), "cpu")
    assert world.like_source < 0.99
    assert np.isnan(world.like_target)
    assert world.phones < 1
    assert world.within_50 > 0.95
    assert world.realtime > 0


def test_a_wrong_key_is_an_error_and_the_one_that_was_wanted_is_none(phone_classifier: PhoneClassifier) -> None:
    clip = EvaluationClip("a", sung(220, 1000), F0(np.full(201, 220, np.float32), 0.01))
    for hz, shift, wrong in ((440, 0, 1), (440, 12, 0), (220, 12, 1), (220, 0, 0)):
        found = clip_metrics(clip, ConvertedClip(sung(hz, 1000), 0.0, shift), None, phone_classifier, ConvertSettings())
        assert found.gross == pytest.approx(wrong, abs=0.01)
        assert found.median_cents == pytest.approx(1200 * wrong, abs=5)


def test_the_shift_that_a_conversion_used_is_known() -> None:
    clip = EvaluationClip("a", sung(220, 1000))
    world = load_voice(find_voice("world"), "cpu")
    given = convert_clip(world, clip, ConvertSettings(key_shift=5), "cpu")
    assert given.shift == 5
    low = replace(world, card=replace(world.card, range=VocalRange(69, (9.0,) * 4)))
    chosen = convert_clip(low, clip, ConvertSettings(), "cpu")
    assert chosen.shift == 12
    hz = track_f0(chosen.audio, ConvertSettings().pitch).hz
    assert np.median(hz[hz > 0]) == pytest.approx(440, rel=0.01)


def test_similarity_is_of_the_voice_and_not_of_loudness_rate_or_silence() -> None:
    one, other = sung(220, 1000), sung(110, 2400)
    quiet = Wave(np.pad(0.1 * one.samples, ((0, 0), (RATE, RATE))), RATE)
    assert speaker_similarity(speaker_embedding(one), speaker_embedding(quiet)) > 0.98
    assert speaker_similarity(speaker_embedding(one), speaker_embedding(other)) < 0.8
    nothing = Wave(np.zeros((1, RATE), np.float32), RATE)
    assert speaker_similarity(speaker_embedding(one), speaker_embedding(nothing)) == 0
    assert dnsmos_scores(nothing).overall == 1


def test_means_come_with_an_interval_that_holds_them() -> None:
    rows = [VoiceMetrics(c, 0.9, 0.0, 0.1, 0.5, 0.5, 3.0, 0.5, 0.2) for c in (2.0, 4.0, 6.0, 8.0)]
    mean, low, high = means(rows)["median_cents"]
    assert mean == 5
    assert 2 <= low < mean < high <= 8
    assert means(rows) == means(rows)


def test_a_long_recording_is_embedded_by_the_minute_as_it_would_be_whole(monkeypatch):
    vocals = example_song(0, 40.0).stems["lead_vocals"]
    whole = metrics.speaker_embedding(vocals)
    asked = []
    network = metrics._speaker_network()
    embed = network.embed_utterance
    monkeypatch.setattr(network, "embed_utterance", lambda piece, **kw: asked.append(len(piece)) or embed(piece, **kw))
    monkeypatch.setattr(metrics, "_CHUNK_S", 8)
    by_piece = metrics.speaker_embedding(vocals)
    assert max(asked) <= 8 * 16_000
    assert len(asked) > 1
    assert np.linalg.norm(by_piece) == pytest.approx(1, abs=1e-5)
    assert metrics.speaker_similarity(by_piece, whole) > 0.99
