"""Removing a voice takes with it every kept result that holds it, and nothing else."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from models.conversion.settings import ConvertSettings
from models.conversion.voices import revocation
from models.conversion.voices.install import add_voice, remove_voice
from models.conversion.voices.registry import Consent, find_voice, write_consent
from models.core.errors import BadInput
from models.core.types import Clip
from tasks.cache import voice_results
from tasks.cache.store import Store
from tasks.stages.convert import convert

RECORD = Consent("Ada", "Ada", date(2026, 1, 31), "my own songs", "permission", "a letter")


def a_clip(seed: int) -> Clip:
    return Store().put(iter([np.random.default_rng(seed).normal(0, 0.1, (1, 100)).astype(np.float32)]), 8000)


def keep(key: str, home: Path) -> Path:
    path = home / "results" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def test_all_that_a_voice_sang_goes_with_it_and_the_rest_stays(home: Path) -> None:
    lead, band, new, other = (a_clip(i) for i in range(4))
    mix, master = a_clip(4), a_clip(5)
    records = {key: keep(key, home) for key in ("convert-1", "mix-1", "measure-1", "convert-2", "render-1")}
    voice_results.mark("convert-1", {"voice": "ada"}, [lead], [new])
    voice_results.mark("mix-1", {}, [new, band], [mix])
    voice_results.mark("measure-1", {"made": mix}, [mix], [])
    voice_results.mark("convert-2", {"voice": "bob"}, [lead], [other])
    voice_results.mark("render-1", {}, [], [master])
    assert voice_results.forget("ada") == 3
    assert {key for key, path in records.items() if path.exists()} == {"convert-2", "render-1"}
    for clip, there in ((lead, True), (band, True), (other, True), (master, True), (new, False), (mix, False)):
        assert Store().path(clip).exists() is there
    assert voice_results.forget("ada") == 0


def test_what_was_sung_under_one_record_is_not_reused_under_another(home: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "voice.json").write_text((find_voice("world") / "voice.json").read_text())
    folder = add_voice("ada", given, RECORD)
    inputs = {"vocals": a_clip(0), "voice": "ada", "settings": ConvertSettings(), "seed": 0, "device": "cpu"}
    first = convert.key(inputs)
    assert convert.key(inputs) == first
    write_consent(replace(RECORD, use="any songs"), folder)
    assert convert.key(inputs) != first
    revocation.revoke("ada")
    with pytest.raises(BadInput, match="revoked"):
        convert.key(inputs)


def test_a_voice_that_is_loaded_already_is_refused_once_it_is_revoked(home: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "voice.json").write_text((find_voice("world") / "voice.json").read_text())
    folder = add_voice("ada", given, RECORD)
    vocals = a_clip(0)
    assert convert.fn(vocals, "ada", ConvertSettings(), 0, "cpu").frames == vocals.frames
    record = (folder / "consent.toml").read_text()
    (folder / "consent.toml").write_text(record.replace("my own songs", "any songs"))
    with pytest.raises(BadInput, match="altered"):
        convert.fn(vocals, "ada", ConvertSettings(), 0, "cpu")
    remove_voice("ada")
    with pytest.raises(BadInput, match="no voice named 'ada'"):
        convert.fn(vocals, "ada", ConvertSettings(), 0, "cpu")
    ended = replace(RECORD, on=date(2025, 2, 1), until=date(2025, 3, 1))
    with pytest.raises(BadInput, match="ended"):
        add_voice("late", given, ended)
    write_consent(ended, add_voice("late", given, RECORD))
    with pytest.raises(BadInput, match="ended"):
        convert.fn(vocals, "late", ConvertSettings(), 0, "cpu")
