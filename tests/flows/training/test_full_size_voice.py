"""The full-size voice's way through the flow: examined as it goes, the best kept, installed with its consent."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prefect import flow
from prefect.artifacts import Artifact

from flows.training import voice as train_voice
from flows.training import voice_validation
from flows.training.voice import CURVES, Framing, fit
from flows.training.voice_data import SMALL, check_unchanged, gather, selection_report
from models.conversion.convert import Voice
from models.conversion.engines.so_vits import SovitsVoice
from models.conversion.evaluation import voice as evaluation
from models.conversion.evaluation.voice import EvaluationClip, convert_clip
from models.conversion.settings import ConvertSettings
from models.conversion.training import full_size as full_training
from models.conversion.training import full_size_voice as full_size
from models.conversion.training import small_voice
from models.conversion.training.settings import FullTrainingSettings, VoiceTrainingSettings
from models.conversion.voices.install import add_voice
from models.conversion.voices.registry import Consent, card, consent, find_voice
from models.core.curve import append_row, read_rows
from models.core.errors import BadInput
from models.core.types import Wave
from tasks.runs.training_page import show_check, show_curves

RECORD = Consent("Ada", "Ada", date(2026, 1, 31), "my own songs", "permission", "a letter")
SETTINGS = FullTrainingSettings(
    epochs=4, batch_size=2, segment_size=2048, checkpoint_every=3, check_every=1, patience=9
)
METRICS = ("median_cents", "within_50", "gross", "like_target", "phones", "naturalness")
SECONDS = 2.0


def tone(hz: float) -> np.ndarray:
    time = np.arange(int(SECONDS * SMALL.rate)) / SMALL.rate
    return np.asarray(sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 12)) * 0.1, np.float32)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder as gathering and listening leave it; networks, discriminators and clips are small ones."""
    folder = tmp_path / "work"
    (folder / "audio").mkdir(parents=True)
    np.save(folder / "audio" / "held-0000.0.npy", tone(220))
    known = {"account": "4 s are kept.", "kept_s": 4.0, "dropped_s": {}, "rate": SMALL.rate, "speaker": [0.1] * 256}
    (folder / "selection.json").write_text(json.dumps(known | {"spectrum": [0.0] * 40}))
    frames = int(SECONDS * SMALL.rate) // SMALL.hop
    states = torch.randn(frames, 128, generator=torch.Generator().manual_seed(0)).half()
    pieces = [
        (f"piece-{i}", torch.from_numpy(tone(hz)[: frames * SMALL.hop]), torch.full((frames,), float(hz)), [states])
        for i, hz in enumerate((200, 230, 260, 290))
    ]
    torch.save(pieces, folder / "features.pt")

    class Discriminator(torch.nn.Module):
        def __init__(self, use_spectral_norm: bool) -> None:
            super().__init__()
            self.layer = torch.nn.Conv1d(1, 4, 15, 4)

        def forward(self, real: torch.Tensor, synthesis: torch.Tensor) -> Any:
            maps = [self.layer(real), self.layer(synthesis)]
            return [maps[0]], [maps[1]], [[maps[0]]], [[maps[1]]]

    monkeypatch.setattr(full_size, "MultiPeriodDiscriminator", Discriminator)
    monkeypatch.setattr(full_size, "full_config", lambda name, width, settings: full_size.debug_config(width, settings))
    monkeypatch.setattr(train_voice, "FULL", SMALL)
    monkeypatch.setattr(
        evaluation, "example_clip", lambda seconds: EvaluationClip("a tone", Wave(tone(200)[None], SMALL.rate))
    )
    return folder


def fitted(work: Path, settings: FullTrainingSettings = SETTINGS) -> Path:
    encoder = voice_validation.shipped_encoder()
    made: Path = fit.fn(work / "features.pt", encoder, work, "ada", settings)
    return made


def scored(monkeypatch: pytest.MonkeyPatch, score: Callable[[int], float]) -> list[int]:
    """Have the examiner give the scores of `score(check)`; returns a list that counts the checks."""
    checks: list[int] = []

    class ValidationResult:
        metrics = dict.fromkeys(METRICS, 0.5)
        sample = Wave(np.zeros((1, 100), np.float32), SMALL.rate)

        def __init__(self, score: float) -> None:
            self.score = score

    class VoiceValidator:
        def validate(self, state: Any) -> ValidationResult:
            checks.append(len(checks))
            return ValidationResult(score(checks[-1]))

    monkeypatch.setattr(voice_validation, "_validator", lambda voice: VoiceValidator())
    return checks


def rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_voice_is_trained_examined_and_installed_with_its_consent(work: Path, home: Path) -> None:
    folder = fitted(work, replace(SETTINGS, epochs=1))
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", "voice.json"}
    assert card(folder).unvoiced_f0 == "interpolated"
    assert set(METRICS) <= set(card(folder).metrics)
    assert [row["step"] for row in rows(work / "examined.jsonl")] == [0, 2]
    assert sorted(path.name for path in (work / "samples").iterdir()) == ["000000.wav", "000002.wav"]
    assert {"mel", "kl", "total"} < set(rows(work / "losses.jsonl")[-1])
    picture = voice_validation.draw_curves.fn(work, CURVES[FullTrainingSettings], "ada")
    assert picture.read_bytes().startswith(b"\x89PNG")
    installed = add_voice("ada", folder, RECORD)
    assert consent(find_voice("ada")) == RECORD
    described = card(installed)
    voice = Voice(described, SovitsVoice.load(installed, described, "cpu"))
    sung = convert_clip(voice, EvaluationClip("a tone", Wave(tone(200)[None], SMALL.rate)), ConvertSettings(), "cpu")
    assert sung.audio.frames == len(tone(200))
    assert np.isfinite(sung.audio.samples).all()


def test_the_best_check_is_kept_and_a_finished_training_is_not_done_again(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = scored(monkeypatch, lambda check: -abs(check - 2.0))
    kept: list[bytes] = []
    weights = work / "voice" / "model.safetensors"

    def seen(path: Path, row: dict[str, float]) -> None:
        append_row(path, row)
        if row["step"]:
            kept.append(weights.read_bytes())

    monkeypatch.setattr(voice_validation, "append_row", seen)
    fitted(work)
    assert len(checks) == 5
    assert kept[0] != kept[1] == kept[2] == kept[3] == weights.read_bytes()
    fitted(work)
    assert len(checks) == 5


def test_it_stops_after_checks_that_are_no_better_and_goes_on_when_more_is_asked(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = scored(monkeypatch, lambda check: -float(check))
    fitted(work, replace(SETTINGS, epochs=40, patience=2))
    assert [row["step"] for row in rows(work / "examined.jsonl")] == [0, 2, 4, 6]
    fitted(work, replace(SETTINGS, epochs=5, patience=9))
    assert [row["step"] for row in rows(work / "examined.jsonl")] == [0, 2, 4, 6, 8, 10]
    assert len(checks) == 6


def test_a_kill_between_checkpoint_and_check_makes_the_check_up(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(check: int) -> float:
        if check == 2:
            raise KeyboardInterrupt
        return float(check)

    scored(monkeypatch, killed)
    with pytest.raises(KeyboardInterrupt):
        fitted(work)
    scored(monkeypatch, float)
    fitted(work)
    assert [row["step"] for row in rows(work / "examined.jsonl")] == [0, 2, 4, 6, 8]


def test_a_small_voice_goes_the_same_way(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = scored(monkeypatch, float)
    tiny = small_voice.debug_config(128)
    monkeypatch.setattr(small_voice, "small_config", lambda name, width: tiny)
    settings = VoiceTrainingSettings(
        steps=25,
        batch=1,
        context=24,
        window=16,
        decoder_from=0,
        discriminator_from=20,
        checkpoint_every=5,
        validate_every=10,
    )
    for _ in range(2):
        folder = fit.fn(work / "features.pt", voice_validation.shipped_encoder(), work, "ada", settings)
    assert [row["step"] for row in rows(work / "examined.jsonl")] == [0, 10, 20, 25]
    assert len(checks) == 4
    assert card(folder).unvoiced_f0 == "zero"
    assert set(CURVES[VoiceTrainingSettings]) < set(rows(work / "losses.jsonl")[-1])


def test_a_loss_logged_twice_across_a_stop_counts_once(tmp_path: Path) -> None:
    for step, mel in ((25, 3.0), (50, 2.0), (25, 2.5)):
        append_row(tmp_path / "losses.jsonl", {"step": step, "mel": mel})
    assert [row["mel"] for row in read_rows(tmp_path / "losses.jsonl")] == [2.5, 2.0]


def test_a_work_folder_of_another_size_is_refused(work: Path, tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "one.wav").write_bytes(b"")
    with pytest.raises(BadInput, match="of another size"):
        gather.fn(tmp_path / "recordings", work, train_voice.MATERIAL, 0, 44_100)
    assert selection_report(work)["rate"] == SMALL.rate
    check_unchanged(work / "settings.json", {"steps": 600})
    with pytest.raises(BadInput, match="other recordings or settings"):
        check_unchanged(work / "settings.json", {"batch_size": 16})


def test_checks_and_curves_are_on_the_runs_page(prefect_server: None, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 20)).save(tmp_path / "curves.png")
    (tmp_path / "000002.wav").write_bytes(b"")

    @flow
    def training() -> None:
        show_check("Ada_2", 2, {"step": 2, "score": 0.51234}, tmp_path / "000002.wav")
        show_curves("Ada_2", tmp_path / "curves.png")

    training()
    shown: dict[str, Any] = {what: Artifact.get(f"voice-ada-2-{what}") for what in ("checks", "samples", "curves")}
    assert "0.512" in shown["checks"].data
    assert "000002.wav" in shown["samples"].data
    assert "data:image/webp" in shown["curves"].data


def test_the_framing_of_each_size_is_its_configurations() -> None:
    from models.conversion.training.small_voice import small_config

    for framing, config in ((SMALL, small_config("x")), (train_voice.FULL, full_size.full_config("x"))):
        assert framing == Framing(config["data"]["sampling_rate"], config["data"]["hop_length"])
    assert full_training.steps_per_epoch(17, FullTrainingSettings()) == 2
