"""Voices of a user's recordings: what is refused before anything is trained, and the deployment."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flows.deployments import maintenance
from flows.training import voice as train_voice
from flows.training.user_voice import NO_BASE, full_voice, start_folder, user_voice
from models.conversion.training.base_checkpoints import KIND
from models.conversion.training.settings import FullTrainingSettings
from models.conversion.voices import revocation
from models.conversion.voices.registry import consent, find_voice
from models.core import registry
from models.core.errors import BadInput


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
        ("bob", {"ground": "I like it"}, "The option ground is"),
        ("bob", {"until": date(2020, 1, 1)}, "ended on 2020-01-01"),
        ("bob", {"who": " "}, "The option who is"),
        ("ada", {}, "already"),
    ):
        with pytest.raises(BadInput, match=reason):
            train(name, "ada", **said | wrong)
    assert not calls, "refused before anything is trained"
