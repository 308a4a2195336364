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

from flows.deployments import maintenance
from flows.training import voice as train_voice
from flows.training import voice_validation
from flows.training.user_voice import NO_BASE, full_voice, start_folder, user_voice
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
from models.conversion.training.base_checkpoints import KIND
from models.conversion.training.settings import FullTrainingSettings, VoiceTrainingSettings
from models.conversion.voices import revocation
from models.conversion.voices.install import add_voice
from models.conversion.voices.registry import Consent, card, consent, find_voice
from models.core import registry
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


def test_what_is_not_fetched_and_what_cannot_be_is_said_first(home: Path, tmp_path: Path) -> None:
    recordings, work = tmp_path / "recordings", tmp_path / "work"
    with pytest.raises(BadInput, match="remix weights fetch contentvec"):
        full_voice("ada", recordings, work, FullTrainingSettings(), device="cpu")
    with pytest.raises(BadInput, match="remix weights fetch sovits-768-base"):
        full_voice("ada", recordings, work, FullTrainingSettings(), encoder="hubert-small", device="cpu")
    with pytest.raises(BadInput, match="no content encoder named 'recordings'"):
        full_voice("ada", recordings, work, FullTrainingSettings(), encoder=str(recordings), device="cpu")
    with pytest.raises(BadInput, match=r"holds no G_<steps>\.pth"):
        full_voice(
            "ada", recordings, work, FullTrainingSettings(), encoder="hubert-small", base=str(tmp_path), device="cpu"
        )
    with pytest.raises(BadInput, match="multiple of 512"):
        full_voice("ada", recordings, work, FullTrainingSettings(segment_size=10_000))
    assert start_folder(NO_BASE) is None
    assert not work.exists()


def test_no_voice_is_trained_on_from_one_that_was_revoked(home: Path, tmp_path: Path) -> None:
    revocation.revoke("lj")
    with pytest.raises(BadInput, match="'lj' is refused: its consent was revoked"):
        user_voice.fn("ada", tmp_path, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_the_base_checkpoints_that_can_be_fetched_are_a_pair_with_pinned_digests() -> None:
    found = [row for row in registry.manifest() if row.kind == KIND]
    assert {Path(row.file).name[:2] for row in found} == {"G_", "D_"}
    assert len({Path(row.file).parent for row in found}) == 1
    assert all(len(row.sha256) == 64 and row.url.startswith("https://") for row in found)
    assert any(row.name == "contentvec" for row in registry.manifest())


def test_the_deployment_trains_either_size_from_registered_names(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.training import user_voice as train_user_voice
    from tasks.runs.folders import register

    calls: dict[str, Any] = {}
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "voice.json").write_text((find_voice("world") / "voice.json").read_text())

    def noted(size: str) -> Callable[..., Path]:
        return lambda *given, **named: calls.update({size: (given, named)}) or trained

    monkeypatch.setattr(train_user_voice, "full_voice", noted("full"))
    monkeypatch.setattr(train_voice, "train_voice", noted("small"))
    register("ada", tmp_path)
    train = maintenance.train_voice_named.fn.__wrapped__
    said = {"who": "Ada", "given_by": "Ada", "ground": "permission", "use": "my songs", "check": "a letter"}
    train("ada", "ada", **said, size="full", base="ada", epochs=7, check_every=3)
    given, named = calls["full"]
    assert (given[3].epochs, given[3].check_every, given[3].batch_size) == (7, 3, 16)
    assert named == {"base": str(tmp_path), "encoder": "contentvec"}
    assert consent(find_voice("ada")).ground == "permission"
    train("eve", "ada", **said, steps=5)
    given, named = calls["small"]
    assert (given[3].steps, named["encoder"]) == (5, None)
    with pytest.raises(BadInput, match="registered"):
        train("bob", "ada", **said, size="full", base="/etc")
    calls.clear()
    for name, wrong, reason in (
        ("bob", {"ground": "I like it"}, "none of these"),
        ("bob", {"until": date(2020, 1, 1)}, "ended on 2020-01-01"),
        ("bob", {"who": " "}, "does not say 'who'"),
        ("ada", {}, "already"),
    ):
        with pytest.raises(BadInput, match=reason):
            train(name, "ada", **said | wrong)
    assert not calls, "refused before anything is trained"


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
