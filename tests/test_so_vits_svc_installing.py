import json
from datetime import date
from pathlib import Path

import pytest

from models.errors import BadInput
from models.so_vits_svc.installing import add_voice, remove_voice
from models.so_vits_svc.voices import Consent, card, consent, find_voice, voices

RECORD = Consent("Ada Example", "Ada Example", date(2026, 1, 31), "my own songs", "permission", "a letter")


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMIX_HOME", str(tmp_path / "home"))
    folder = tmp_path / "training"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model": {"ssl_dim": 768}}))
    for steps in (800, 12000, 2400):
        (folder / f"G_{steps}.pth").write_bytes(str(steps).encode())
    return folder


def test_the_last_checkpoint_becomes_a_voice_with_a_sealed_record(checkpoint: Path) -> None:
    folder = add_voice("ada", checkpoint, RECORD)
    assert find_voice("ada") == folder
    assert consent(folder) == RECORD
    assert (folder / "G_12000.pth").read_bytes() == b"12000"
    assert card(folder).content_encoder == "contentvec"
    assert card(folder).unvoiced_f0 == "interpolated"


def test_nothing_is_left_when_the_record_says_too_little(checkpoint: Path) -> None:
    with pytest.raises(BadInput, match=r"'ada' is refused.*given_by"):
        add_voice("ada", checkpoint, Consent("Ada", "", date(2026, 1, 31), "songs", "permission", "a letter"))
    assert "ada" not in voices()
    assert not list((checkpoint.parent / "home" / "voices").iterdir())


@pytest.mark.parametrize("name", ["../ada", "Ada", "", "a b", "world"])
def test_a_name_that_is_taken_or_no_file_name_is_refused(checkpoint: Path, name: str) -> None:
    with pytest.raises(BadInput):
        add_voice(name, checkpoint, RECORD)


def test_what_is_no_voice_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no voice"):
        add_voice("ada", tmp_path, RECORD)
    (checkpoint / "config.json").write_text(json.dumps({"model": {"ssl_dim": 100}}))
    with pytest.raises(BadInput, match="100 numbers"):
        add_voice("ada", checkpoint, RECORD)


def test_a_removed_voice_is_gone_and_a_shipped_one_stays(checkpoint: Path) -> None:
    folder = add_voice("ada", checkpoint, RECORD)
    remove_voice("ada")
    assert not folder.exists()
    for name in ("ada", "world"):
        with pytest.raises(BadInput):
            remove_voice(name)
