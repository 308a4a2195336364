"""The voice by nearest neighbours: the recordings' timbre on the source's pitch."""

from pathlib import Path

import numpy as np
import pytest

from models.analysis.f0 import F0Settings, track_f0
from models.conversion.content import debug_config, init_encoder
from models.conversion.convert import Voice, convert
from models.conversion.engines.knn import KnnVoice, Pool, build_pool
from models.conversion.settings import ConvertSettings
from models.conversion.voices.registry import Card, VocalRange
from models.core.errors import BadInput
from models.core.types import Wave

RATE = 24_000


def vowel(hz: float, formant: float, seconds: float = 1.5) -> Wave:
    time = np.arange(round(seconds * RATE)) / RATE
    audio = sum(
        (0.02 + np.exp(-(((k * hz - formant) / 250) ** 2))) * np.sin(2 * np.pi * k * hz * time) for k in range(1, 50)
    )
    return Wave((0.1 * np.asarray(audio)).astype(np.float32)[None], RATE)


def centre(audio: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(audio)) ** 2
    hz = np.fft.rfftfreq(len(audio), 1 / RATE)
    return float((power * hz)[:20_000].sum() / power[:20_000].sum())


def test_the_timbre_is_the_recordings_and_the_pitch_the_sources(tmp_path: Path) -> None:
    encoder = init_encoder(debug_config(), 0).eval()
    build_pool([vowel(150, 1800)], encoder).save(tmp_path / "pool.safetensors")
    card = Card("a", "knn", "MIT", VocalRange(0, ()))
    voice = Voice(card, KnnVoice(Pool.load(tmp_path / "pool.safetensors"), encoder, card))
    source = vowel(220, 700)
    runs = [np.concatenate(list(convert(source, voice, ConvertSettings(), 0, "cpu")), axis=1) for _ in range(2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert runs[0].shape == source.samples.shape
    hz = track_f0(Wave(runs[0], RATE), F0Settings()).hz
    assert abs(1200 * np.log2(np.median(hz[hz > 0]) / 220)) < 10
    before, after, wanted = (centre(a) for a in (source.samples[0], runs[0][0], vowel(150, 1800).samples[0]))
    assert abs(after - wanted) < 0.3 * abs(before - wanted)


def test_what_is_no_pool_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="cannot be read"):
        Pool.load(tmp_path / "pool.safetensors")


def test_a_pool_of_what_are_no_numbers_or_of_too_few_moments_is_refused(tmp_path: Path) -> None:
    def saved(rows: int, value: float = 1.0, others: int = 0) -> Path:
        path = tmp_path / "pool.safetensors"
        Pool(np.full((rows, 8), value), np.ones((rows + others, 40)), np.ones((rows, 2))).save(path)
        return path

    assert len(Pool.load(saved(6)).contents) == 6
    for path in (lambda: saved(6, float("nan")), lambda: saved(3), lambda: saved(6, others=1)):
        with pytest.raises(BadInput, match="cannot be read"):
            Pool.load(path())
