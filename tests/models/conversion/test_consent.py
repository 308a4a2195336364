"""Nobody is sung without a record of consent that is whole, unaltered and in force."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from models.conversion.convert import load_voice
from models.conversion.voices.registry import (
    Card,
    Consent,
    VocalRange,
    consent,
    consent_digest,
    find_voice,
    user_folder,
    voice_digest,
    voices,
    write_card,
    write_consent,
)
from models.core.errors import BadInput

RECORD = Consent(
    who="Ada Example",
    given_by="Ada Example",
    on=date(2026, 1, 31),
    use="remixes of my own songs",
    ground="permission",
    check="letter of 31 January, kept by the project",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    voice = tmp_path / "voices" / "ada"
    voice.mkdir(parents=True)
    (voice / "model.safetensors").write_bytes(b"weights")
    (voice / "config.json").write_text("{}")
    write_card(
        Card("Ada", "so-vits-svc", "MIT", VocalRange(60, (1.0, 2.5)), "model.safetensors", "hubert-small"), voice
    )
    write_consent(RECORD, voice)
    return voice


def test_what_was_written_is_what_is_read(folder: Path) -> None:
    assert consent(folder) == RECORD
    assert find_voice("ada") == folder


def test_a_voice_without_a_record_is_refused_everywhere(folder: Path) -> None:
    (folder / "consent.toml").unlink()
    for ask in (consent, consent_digest, lambda f: load_voice(f, "cpu")):
        with pytest.raises(BadInput, match="no record of consent"):
            ask(folder)


@pytest.mark.parametrize("altered", ["who", "use", "ground", "check", "given_by", "on"])
def test_an_altered_word_breaks_the_seal(folder: Path, altered: str) -> None:
    lines = (folder / "consent.toml").read_text().splitlines()
    other = {"on": "2026-02-01", "ground": '"licence"'}.get(altered, '"somebody else"')
    lines = [f"{altered} = {other}" if line.startswith(f"{altered} =") else line for line in lines]
    (folder / "consent.toml").write_text("\n".join(lines))
    with pytest.raises(BadInput, match="altered"):
        consent(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_record_holds_for_the_voice_it_was_given_for_alone(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"another voice")
    with pytest.raises(BadInput, match="altered"):
        consent(folder)


def test_consent_ends_after_its_last_day(folder: Path) -> None:
    write_consent(replace(RECORD, until=date(2026, 6, 30)), folder)
    assert consent(folder, today=date(2026, 6, 30)).until == date(2026, 6, 30)
    with pytest.raises(BadInput, match="ended on 2026-06-30"):
        consent(folder, today=date(2026, 7, 1))


def test_a_record_that_says_too_little_is_not_written(folder: Path) -> None:
    with pytest.raises(BadInput, match="'who'"):
        write_consent(replace(RECORD, who=""), folder)
    with pytest.raises(BadInput, match="ground"):
        write_consent(replace(RECORD, ground="he will not mind"), folder)


def test_a_record_that_is_no_toml_is_refused(folder: Path) -> None:
    (folder / "consent.toml").write_text("who is it?")
    with pytest.raises(BadInput, match="cannot be read"):
        consent(folder)


def test_the_digests_follow_the_voice_and_the_record(folder: Path) -> None:
    voice, record = voice_digest(folder), consent_digest(folder)
    write_consent(replace(RECORD, use="nothing but tests"), folder)
    assert (voice_digest(folder), consent_digest(folder)) == (voice, consent_digest(folder))
    assert consent_digest(folder) != record
    (folder / "model.safetensors").write_bytes(b"trained further")
    assert voice_digest(folder) != voice


def test_a_copied_folder_is_the_same_voice(folder: Path) -> None:
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    assert voice_digest(copy) == voice_digest(folder)
    assert set(voices()) >= {"ada", "copy", "world"}


def test_every_shipped_voice_has_its_consent() -> None:
    for folder in voices().values():
        assert consent(folder).check


def test_an_empty_home_is_the_projects_own_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.core import registry

    monkeypatch.setenv("REMIX_HOME", "")
    assert user_folder() == registry.home() / "voices" == registry.SHIPPED.parent / ".remix" / "voices"


def test_an_unknown_voice_is_named_with_the_nearest(folder: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'ada'"):
        find_voice("adda")
