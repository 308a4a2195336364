"""`remix voices`: nobody is taken in without consent; what is there is shown; what is removed is gone."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.commands import app
from models.errors import BadInput
from models.so_vits_svc.voices import find_voice, voices
from tasks import sung

CONSENT = {"--who": "Ada", "--given-by": "Ada", "--ground": "permission", "--use": "my songs", "--check": "a letter"}


def remix(*words: str) -> str:
    result = CliRunner().invoke(app, ["voices", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def consent(**changed: str) -> list[str]:
    return [word for pair in (CONSENT | changed).items() for word in pair if pair[1]]


@pytest.fixture
def given(tmp_path: Path, home: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "voice.json").write_text((find_voice("world") / "voice.json").read_text())
    return folder


@pytest.mark.parametrize("lacking", CONSENT)
def test_a_voice_is_refused_without_any_word_of_its_consent(given: Path, lacking: str) -> None:
    with pytest.raises(BadInput, match=lacking):
        remix("add", "ada", str(given), *consent(**{lacking: ""}))
    with pytest.raises(BadInput, match=lacking):
        remix("train", "ada", str(given), *consent(**{lacking: ""}))
    assert "ada" not in voices()


def test_a_voice_is_added_shown_and_removed_with_what_it_sang(given: Path, home: Path) -> None:
    remix("add", "ada", str(given), *consent(), "--until", "2099-01-31")
    shown = json.loads(remix("show", "ada", "--json"))
    assert (shown["consent_who"], shown["consent_until"], shown["engine"]) == ("Ada", "2099-01-31", "world")
    assert {row["voice"] for row in json.loads(remix("list", "--json"))} >= {"ada", "lj", "knn", "world"}
    record = home / "results" / "revoice-1"
    record.parent.mkdir()
    record.write_text("{}")
    sung.mark("revoice-1", {"voice": "ada"}, [], [])
    remix("remove", "ada")
    assert "ada" not in voices()
    assert not record.exists()


def test_a_ground_that_is_none_or_a_name_that_is_taken_is_refused(given: Path) -> None:
    with pytest.raises(BadInput, match="ground"):
        remix("add", "ada", str(given), *consent(**{"--ground": "I like it"}))
    with pytest.raises(BadInput, match="ended on 2020-01-31"):
        remix("add", "ada", str(given), *consent(), "--until", "2020-01-31")
    with pytest.raises(BadInput, match="already"):
        remix("add", "lj", str(given), *consent())
    assert "ada" not in voices()


@pytest.mark.parametrize(
    ("changed", "more", "reason"),
    [
        ({"--ground": "I like it"}, (), "none of these"),
        ({}, ("--until", "2020-01-31"), "ended on 2020-01-31"),
    ],
)
def test_a_record_that_would_not_hold_is_refused_before_anything_is_trained(
    given: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], more: tuple[str, ...], reason: str
) -> None:
    from flows import train_user_voice

    def trained(*anything: object) -> Path:
        raise AssertionError("it was trained")

    monkeypatch.setattr(train_user_voice, "user_voice", trained)
    with pytest.raises(BadInput, match=reason):
        remix("train", "ada", str(given), *consent(**changed), *more)


def test_a_shipped_voice_is_shown_with_its_compass_and_ground() -> None:
    shown = json.loads(remix("show", "lj", "--json"))
    assert shown["range"].startswith("C3 to")
    assert shown["consent_ground"] == "public domain"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--size", "full"), "Only --engine so-vits-svc has a full size"),
        (("--engine", "so-vits-svc", "--size", "full", "--steps", "50"), "--epochs, not for --steps"),
        (("--engine", "so-vits-svc", "--epochs", "5", "--base", "none"), "full has --epochs, --base"),
    ],
)
def test_options_of_another_kind_of_voice_are_refused(given: Path, words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        remix("train", "ada", str(given), *consent(), *words)
    assert "ada" not in voices()
