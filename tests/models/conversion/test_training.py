"""Training the voice and its content encoder: labels, perturbations, sung speech, and stopping and going on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.analysis.f0 import track_f0
from models.analysis.settings import F0Settings
from models.conversion import phrases
from models.conversion.content import CONTENT_RATE, debug_config, init_encoder
from models.conversion.training import content_encoder, losses, small_voice
from models.conversion.training import voice as voice_training
from models.conversion.training.content_dataset import Recording, active_segments, read, write
from models.conversion.training.content_encoder import Corpus
from models.conversion.training.perturbation import Perturbation, perturb, resample_speed
from models.conversion.training.phones import ARPABET, PHONES, Segment, classes, frame_labels
from models.conversion.training.settings import EncoderTrainingSettings, VoiceTrainingSettings
from models.conversion.training.voice_dataset import Utterance, singing_version, utterance, vocal_range_of
from models.core.progress import Watch
from models.core.solver import TrainingRun
from models.core.types import Wave

STILL = Perturbation(1.0, 1.0, np.zeros(8, np.float32), 90.0, 0.0, 0.0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # as trainings are; and as before by `threads_as_before`


def vowel(hz: float, formants: tuple[float, ...], seconds: float, rate: int = CONTENT_RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    audio = np.zeros(len(time))
    for k in range(1, int(7000 / hz)):
        audio += sum(np.exp(-(((k * hz - f) / 120) ** 2)) for f in formants) * np.sin(2 * np.pi * k * hz * time)
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def test_labels_follow_the_segments_and_split_diphthongs() -> None:
    labels = frame_labels([Segment("", 0.05), Segment("aɪ", 0.15), Segment("s", 0.2)], 25)
    names = [PHONES[i] for i in labels]
    assert names == ["_"] * 5 + ["a"] * 5 + ["ɪ"] * 5 + ["s"] * 5 + ["_"] * 5


def test_every_phone_of_flite_has_a_class() -> None:
    assert all(classes(ipa) != (0,) for name, ipa in ARPABET.items() if name not in ("pau", "sil"))


def test_a_formant_shift_moves_formants_and_leaves_the_pitch() -> None:
    audio = torch.from_numpy(vowel(150, (700, 1200, 2600), 1.0))[None]
    moved = perturb(audio, [replace(STILL, formants=1.2)], torch.Generator().manual_seed(0))
    hz = track_f0(Wave(moved.numpy(), CONTENT_RATE), F0Settings()).hz
    assert abs(1200 * np.log2(np.median(hz[hz > 0]) / 150)) < 10

    def centre(samples: torch.Tensor) -> float:
        power = torch.fft.rfft(samples[0]).abs() ** 2
        band = torch.arange(len(power)) * CONTENT_RATE / 2 / (len(power) - 1)
        inside = (band > 1800) & (band < 3800)
        return float((power * band)[inside].sum() / power[inside].sum())

    assert centre(moved) / centre(audio) == pytest.approx(1.2, abs=0.06)


def test_speed_multiplies_the_pitch() -> None:
    faster = resample_speed(vowel(150, (700, 1200), 2.0), 0, CONTENT_RATE, 1.5)
    hz = track_f0(Wave(faster[None], CONTENT_RATE), F0Settings()).hz
    assert np.median(hz[hz > 0]) == pytest.approx(225, rel=0.01)


def test_equal_seeds_perturb_alike() -> None:
    audio = torch.from_numpy(vowel(150, (700, 1200), 1.0))[None]
    settings = [replace(STILL, room_s=0.2, noise_db=20)]
    one, two = (perturb(audio, settings, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)


def test_pauses_are_left_out_of_recordings() -> None:
    voice = vowel(150, (700, 1200), 1.5)
    audio = np.concatenate([np.zeros(16000), voice, np.zeros(32000), voice, np.zeros(8000)]).astype(np.float32)
    pieces = list(active_segments(Recording(audio, CONTENT_RATE)))
    assert [round(len(p) / CONTENT_RATE, 1) for p in pieces] == [1.5, 1.5]


def a_corpus() -> Corpus:
    rng = np.random.default_rng(0)
    audio = np.concatenate([vowel(hz, f, 3.0) for hz, f in ((120, (700, 1200)), (200, (300, 2300)), (160, (500, 900)))])
    labels = np.repeat([PHONES.index(p) for p in "aiu"], 300).astype(np.int8)
    noisy = audio + rng.normal(0, 0.01, len(audio))
    bounds = np.array([[0, 48000], [48000, 96000], [96000, 144000]])
    return Corpus((noisy * 30000).astype(np.int16), labels, bounds, np.array([True, True, False]), np.zeros(3, bool))


def test_a_corpus_is_read_as_it_was_written(tmp_path: Path) -> None:
    corpus = a_corpus()
    write(tmp_path, [(corpus.audio[:48000], corpus.labels[:300])], [corpus.audio[48000:]])
    again = read(tmp_path)
    np.testing.assert_array_equal(again.audio, corpus.audio)
    assert again.labels[:300].tolist() == corpus.labels[:300].tolist()
    assert (again.labels[300:] == -1).all()
    assert again.labelled.tolist() == [True, False]


def train_encoder(steps: int, folder: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    encoder = init_encoder(debug_config(), 0)
    rows: list[dict[str, float]] = []
    settings = EncoderTrainingSettings(steps=60, batch=4, span_s=0.5, warmup=5, learning_rate=5e-3, checkpoint_every=30)
    content_encoder.train(encoder, a_corpus(), replace(settings, steps=steps), TrainingRun(folder, report=rows.append))
    return dict(encoder.state_dict()), rows


def test_an_encoder_learns_and_goes_on_from_a_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    whole, rows = train_encoder(100, tmp_path / "whole")
    assert rows[-1]["phones"] < rows[0]["phones"]
    assert rows[-1]["right"] > 0.5
    again = init_encoder(debug_config(), 0)
    settings = EncoderTrainingSettings(
        steps=100, batch=4, span_s=0.5, warmup=5, learning_rate=5e-3, checkpoint_every=30
    )

    class Killed(Exception):
        pass

    def kill(row: dict[str, float]) -> None:
        raise Killed

    with pytest.raises(Killed):
        content_encoder.train(again, a_corpus(), settings, TrainingRun(tmp_path / "cut", report=kill))
    parts, _ = train_encoder(100, tmp_path / "cut")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_speech_becomes_singing_on_a_wider_range_and_longer() -> None:
    rate = 16_000
    time = np.arange(2 * rate) / rate
    syllables = (np.sin(2 * np.pi * 2 * time) > -0.5).astype(np.float32)
    speech = vowel(180, (700, 1200, 2500), 2.0) * syllables
    sung = [singing_version(speech, rate, np.random.default_rng(seed)) for seed in range(3)]
    assert all(len(s) > 1.1 * len(speech) for s in sung)
    ranges = []
    for audio in sung:
        hz = track_f0(Wave(audio[None], rate), F0Settings()).hz
        assert (hz > 0).mean() > 0.4
        ranges.append(hz[hz > 0])
    everything = 12 * np.log2(np.concatenate(ranges) / 180)
    assert everything.max() - everything.min() > 6
    again = singing_version(speech, rate, np.random.default_rng(0))
    np.testing.assert_array_equal(again, sung[0])


def test_training_puts_the_loudness_back_as_converting_does() -> None:
    rng = np.random.default_rng(0)
    swell = np.linspace(0.05, 1, 11_025).astype(np.float32)
    sung, wanted = rng.normal(0, 0.1, 11_025).astype(np.float32), swell * vowel(220, (700, 1200), 0.5, 22_050)
    ours = phrases.match_loudness(sung, wanted, 22_050)
    theirs = losses.match_loudness(torch.from_numpy(sung)[None], torch.from_numpy(wanted)[None], 22_050)[0].numpy()
    np.testing.assert_allclose(theirs, ours, atol=2e-4)


def utterances() -> list[Utterance]:
    encoder = init_encoder(debug_config(), 0).eval()
    rng = np.random.default_rng(0)
    return [
        utterance(vowel(hz, f, 2.0, 22_050), 22_050, 256, encoder, 1, rng)
        for hz, f in ((220, (700, 1200)), (260, (300, 2300)))
    ]


def test_an_utterance_is_aligned_and_its_range_is_counted() -> None:
    found = utterances()
    frames = 2 * 22_050 // 256
    assert all(len(u.f0_hz) == frames == len(c) and len(u.audio) == frames * 256 for u in found for c in u.contents)
    vocal_range = vocal_range_of([u.f0_hz for u in found], 256 / 22_050)
    assert vocal_range.lowest == 57
    assert vocal_range.seconds[0] == pytest.approx(2, abs=0.15)
    assert vocal_range.seconds[3] == pytest.approx(2, abs=0.15)


def test_a_voice_learns_and_goes_on_from_a_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    settings = VoiceTrainingSettings(
        steps=50,
        batch=2,
        context=24,
        window=16,
        warmup=5,
        decoder_from=0,
        discriminator_from=40,
        learning_rate=3e-3,
        checkpoint_every=25,
    )
    material = utterances()

    class Killed(Exception):
        pass

    def run(folder: Path, kill_at: int = 0) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
        network, rows = small_voice.init_network(small_voice.debug_config(), 0), []  # type: ignore[var-annotated]

        def watched(fraction: float) -> None:
            if kill_at and fraction >= kill_at / settings.steps:
                raise Killed

        voice_training.train(network, material, settings, TrainingRun(folder, Watch(watched), rows.append))
        return dict(network.state_dict()), rows

    whole, rows = run(tmp_path / "whole")
    assert rows[-1]["mel"] < rows[0]["mel"]
    assert "discriminator" in rows[-1]
    with pytest.raises(Killed):
        run(tmp_path / "cut", kill_at=30)
    parts, _ = run(tmp_path / "cut")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
