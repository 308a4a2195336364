"""`remix voices`: nobody is taken in without consent; what is there is shown; what is removed is gone."""

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.commands import app
from models.conversion.voices.registry import Consent, check_record, find_voice, voices
from models.core.errors import BadInput
from tasks.cache import voice_results

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
    record = home / "results" / "convert-1"
    record.parent.mkdir()
    record.write_text("{}")
    voice_results.mark("convert-1", {"voice": "ada"}, [], [])
    remix("remove", "ada")
    assert "ada" not in voices()
    assert not record.exists()


def a_kept_result(home: Path, voice: str) -> Path:
    record = home / "results" / "convert-1"
    record.parent.mkdir(exist_ok=True, parents=True)
    record.write_text("{}")
    voice_results.mark("convert-1", {"voice": voice}, [], [])
    return record


def test_what_a_voice_sang_goes_also_where_its_card_or_all_of_it_is_gone(given: Path, home: Path) -> None:
    remix("add", "ada", str(given), *consent())
    (home / "voices" / "ada" / "voice.json").unlink()
    record = a_kept_result(home, "ada")
    remix("remove", "ada")
    assert not record.exists()
    assert not (home / "voices" / "ada").exists()
    record = a_kept_result(home, "gone")
    remix("remove", "gone")
    assert not record.exists()
    with pytest.raises(BadInput, match="no voice named 'gone'"):
        remix("remove", "gone")


def test_a_revoked_voice_is_refused_and_what_it_sang_is_deleted(given: Path, home: Path) -> None:
    from flows.options import RemixOptions

    record = a_kept_result(home, "lj")
    with pytest.raises(BadInput, match="shipped"):
        remix("remove", "lj")
    assert record.exists()
    remix("revoke", "lj")
    assert not record.exists()
    rows = {row["voice"]: row["ground"] for row in json.loads(remix("list", "--json"))}
    assert rows["lj"] == f"revoked on {date.today()}"
    assert rows["world"] != rows["lj"]
    with pytest.raises(BadInput, match="revoked"):
        RemixOptions(voice="lj").check_registered()
    with pytest.raises(BadInput, match="There is no voice named 'nobody'"):
        remix("revoke", "nobody")


@pytest.mark.parametrize("card", ["5", "[]", "null", '{"range": 5}', "not json", "[" * 100_000])
def test_a_broken_voice_is_listed_as_such_and_spoils_no_other(given: Path, home: Path, card: str) -> None:
    remix("add", "ada", str(given), *consent())
    for name in ("bad", "cardless"):
        (home / "voices" / name).mkdir()
    (home / "voices" / "bad" / "voice.json").write_text(card)
    rows = {row["voice"]: row["ground"] for row in json.loads(remix("list", "--json"))}
    assert rows["ada"] == "permission"
    assert rows["bad"].startswith("broken: ")
    assert rows["cardless"].startswith("broken: ")
    with pytest.raises(BadInput, match="no readable card"):
        remix("add", "eve", str(home / "voices" / "bad"), *consent())
    remix("remove", "bad")
    assert not (home / "voices" / "bad").exists()


@pytest.mark.parametrize("who", ["𠮷田", "🎤", 'a "quoted" \\ name', "two\nlines", "del\x7f", "　", "é"])
def test_any_name_can_be_written_into_a_record(given: Path, who: str) -> None:
    if not who.strip():
        with pytest.raises(BadInput, match="--who"):
            remix("add", "ada", str(given), *consent(**{"--who": who}))
        return
    remix("add", "ada", str(given), *consent(**{"--who": who}))
    assert json.loads(remix("show", "ada", "--json"))["consent_who"] == who


def test_half_a_letter_in_a_record_is_refused() -> None:
    record = Consent("Ada\udce9", "Ada", date(2026, 1, 31), "songs", "permission", "a letter")
    with pytest.raises(BadInput, match="cannot be written"):
        check_record(record)


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
    from flows.training import user_voice

    def trained(*anything: object) -> Path:
        raise AssertionError("it was trained")

    monkeypatch.setattr(user_voice, "user_voice", trained)
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
        (("--engine", "so-vits-svc", "--epochs", "5", "--base", "none"), "full has --base, --epochs"),
    ],
)
def test_options_of_another_kind_of_voice_are_refused(given: Path, words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        remix("train", "ada", str(given), *consent(), *words)
    assert "ada" not in voices()
