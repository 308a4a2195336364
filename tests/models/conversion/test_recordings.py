"""Recordings made into training material: what is kept, what is left out, and that it is said why."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from flows.training.voice_data import MaterialSettings, gather, selection_report
from models.conversion.metrics import DnsmosScores
from models.conversion.training import recordings
from models.conversion.training.recordings import (
    SelectionSettings,
    clipped_share,
    denoise_wiener,
    select_segments,
    split_at_pauses,
)
from models.core.errors import BadInput
from models.core.types import Wave

RATE = 16_000
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "voice"


def voiced(seconds: float, hz: float = 150, level: float = 0.2) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * k * hz * time + k) / k for k in range(1, 12))
    return (level * tone / np.abs(tone).max()).astype(np.float32)


def pause(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def wave(*parts: np.ndarray) -> Wave:
    return Wave(np.concatenate(parts)[None], RATE)


@pytest.fixture
def by_pitch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meters that tell a speaker by the strongest frequency and music by a tone over 3 kHz."""

    def speaker_embedding(audio: Wave) -> np.ndarray:
        spectrum = np.abs(np.fft.rfft(audio.samples[0], RATE))[:1000]
        vector = np.zeros(256, np.float32)
        vector[int(spectrum.argmax()) // 50] = 1
        return vector

    def dnsmos_scores(audio: Wave) -> DnsmosScores:
        power = np.abs(np.fft.rfft(audio.samples[0], RATE)) ** 2
        return DnsmosScores(3.5, 1.2 if power[3000:].sum() > 0.2 * power.sum() else 3.5, 3.0)

    monkeypatch.setattr(recordings, "speaker_embedding", speaker_embedding)
    monkeypatch.setattr(recordings, "dnsmos_scores", dnsmos_scores)


def held(audio: Wave) -> Callable[[], Wave]:
    return lambda: audio


@pytest.mark.usefixtures("by_pitch")
def test_what_is_no_use_is_left_out_and_it_is_said_why() -> None:
    clipped = np.clip(4 * voiced(2), -0.5, 0.5)
    music = voiced(2) + (0.3 * np.sin(2 * np.pi * 4000 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    own = [wave(pause(1), voiced(3), pause(1), voiced(4), pause(1), voiced(0.4), pause(1))]
    given = [*own, wave(voiced(2, 330)), wave(clipped), wave(music)]
    found = select_segments([(f"{i}.wav", held(audio)) for i, audio in enumerate(given)], 22_050)
    assert [segment.name for segment in found.segments] == ["0.wav", "0.wav"]
    assert found.kept_s == pytest.approx(7.2, abs=0.1)
    assert found.rejected_s == pytest.approx(
        {"silence": 3.7, "too short": 0.5, "another speaker": 2, "clipping": 2, "music or noise": 2}, abs=0.15
    )
    for segment in found.segments:
        assert segment.audio.sample_rate == 22_050
        assert 20 * np.log10(np.sqrt(np.mean(segment.audio.samples**2))) == pytest.approx(-24, abs=0.1)


@pytest.mark.usefixtures("by_pitch")
def test_a_bad_file_is_left_out_and_named_and_the_rest_is_used(tmp_path: Path) -> None:
    folder, work, other = tmp_path / "recordings", tmp_path / "work", tmp_path / "other"
    for place in (folder / "more", work, other):
        place.mkdir(parents=True)
    speech = [voiced(7, 150 + k) for k in range(3)]
    soundfile.write(folder / "good.wav", np.concatenate([p for s in speech for p in (s, pause(1))]), RATE)
    with pytest.raises(BadInput, match="holds no recordings"):
        gather.fn(folder / "more", work, MaterialSettings(sung=0), 0, 22_050)
    soundfile.write(folder / "silent.wav", pause(3), RATE)
    soundfile.write(folder / "none.wav", pause(0), RATE)
    soundfile.write(folder / "nan.wav", np.full(3 * RATE, np.nan, np.float32), RATE, "FLOAT")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "more" / "text.mp3").write_bytes(b"no sound at all" * 100)
    gather.fn(folder, work, MaterialSettings(sung=0), 0, 22_050)
    account = selection_report(work)["account"]
    assert selection_report(work)["kept_s"] > 20
    assert "Files that could not be used: 5." in account
    for name in ("silent.wav", "none.wav", "nan.wav", "empty.wav", "text.mp3"):
        assert name in account
    (folder / "good.wav").unlink()
    with pytest.raises(BadInput, match=r"too little.* 0 s are kept.*Files that could not be used: 5"):
        gather.fn(folder, other, MaterialSettings(sung=0), 0, 22_050)


@pytest.mark.usefixtures("by_pitch")
def test_samples_that_are_no_numbers_spoil_no_other_recording() -> None:
    spoilt = voiced(2)
    spoilt[100] = np.nan
    found = select_segments([("a", held(wave(voiced(3)))), ("b", held(wave(spoilt)))], 22_050)
    assert [segment.name for segment in found.segments] == ["a"]
    assert list(found.unusable) == ["b"]


def test_pieces_are_cut_at_pauses_and_none_is_longer_than_ten_seconds() -> None:
    short_pause = np.concatenate([voiced(2), pause(0.2), voiced(2), pause(0.8), voiced(23)])
    found = list(split_at_pauses("a", wave(short_pause)))
    assert found[0].audio.duration_s == pytest.approx(4.25, abs=0.1)
    assert max(segment.audio.duration_s for segment in found) <= 10
    assert sum(segment.audio.duration_s for segment in found) == pytest.approx(27.3, abs=0.2)


def test_clipping_is_told_from_a_loud_voice() -> None:
    assert clipped_share(voiced(1, level=0.99)) < 0.001
    assert clipped_share(np.clip(2 * voiced(1, level=0.5), -0.5, 0.5)) > 0.01


def test_steady_noise_is_taken_out_and_the_voice_stays() -> None:
    rng = np.random.default_rng(0)
    speech = np.concatenate([pause(0.6), voiced(0.8), pause(0.6), voiced(0.8), pause(0.6)])
    noisy = speech + rng.normal(0, 0.01, len(speech)).astype(np.float32)
    clean = denoise_wiener(Wave(noisy[None], RATE)).samples[0]
    assert len(clean) == len(noisy)
    silent, sounds = slice(0, RATE // 2), slice(int(0.7 * RATE), int(1.3 * RATE))
    assert 20 * np.log10(clean[silent].std() / noisy[silent].std()) < -10
    assert abs(20 * np.log10(clean[sounds].std() / speech[sounds].std())) < 0.5


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs recordings of two speakers")
def test_a_stranger_among_real_recordings_is_left_out() -> None:
    paths = [*sorted((SHARED / "ljspeech").glob("*.flac"))[:5], *sorted((SHARED / "vctk" / "p226").glob("*.flac"))[:2]]

    def read(path: Path) -> Wave:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return Wave(np.ascontiguousarray(samples.T), rate)

    found = select_segments([(p.name, lambda p=p: read(p)) for p in paths], 22_050, SelectionSettings())  # type: ignore[misc]
    assert {segment.name[:2] for segment in found.segments} == {"LJ"}
    assert len({segment.name for segment in found.segments}) == 5
    assert found.rejected_s["another speaker"] > 3
