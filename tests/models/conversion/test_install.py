"""Taking voices in, whole and fit to sing; letting them go with all that there is of them; taking consent back."""

import hashlib
import json
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.conversion.content import debug_config as debug_encoder_config
from models.conversion.content import init_encoder
from models.conversion.convert import load_voice
from models.conversion.training.small_voice import debug_config, init_network
from models.conversion.voices import revocation
from models.conversion.voices.install import add_voice, check_name, own_folders, remove_voice
from models.conversion.voices.registry import Consent, broken_voices, card, consent, find_voice, voices
from models.core import registry
from models.core.errors import BadInput

RECORD = Consent("Ada Example", "Ada Example", date(2026, 1, 31), "my own songs", "permission", "a letter")


def tiny(width: int, **changed: Any) -> dict[str, Any]:
    config = debug_config(width)
    config["model"] |= changed
    return config


@cache
def weights_of(config: str) -> dict[str, torch.Tensor]:
    return dict(init_network(json.loads(config), 0).state_dict())


def written(folder: Path, config: dict[str, Any], steps: tuple[int, ...] = (800,)) -> Path:
    """A training's folder, with a checkpoint whose first bias tells its steps."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    state = weights_of(json.dumps(config))
    for number in steps:
        state["pre.bias"][0] = number
        torch.save({"model": state}, folder / f"G_{number}.pth")
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path, home: Path) -> Path:
    return written(tmp_path / "training", tiny(768), (800, 12000, 2400))


def test_the_last_checkpoint_becomes_a_voice_with_a_sealed_record(checkpoint: Path) -> None:
    folder = add_voice("ada", checkpoint, RECORD)
    assert find_voice("ada") == folder
    assert consent(folder) == RECORD
    assert torch.load(folder / "G_12000.pth", weights_only=True)["model"]["pre.bias"][0] == 12000
    assert card(folder).content_encoder == "contentvec"
    assert card(folder).unvoiced_f0 == "interpolated"


def test_nothing_is_left_when_the_record_says_too_little(checkpoint: Path, home: Path) -> None:
    with pytest.raises(BadInput, match=r"'ada' is refused.*given_by"):
        add_voice("ada", checkpoint, Consent("Ada", "", date(2026, 1, 31), "songs", "permission", "a letter"))
    assert "ada" not in voices()
    assert not list((home / "voices").iterdir())


@pytest.mark.parametrize("name", ["../ada", "Ada", "", "a b", "world", "voice", "same"])
def test_a_name_that_is_taken_or_no_file_name_is_refused(checkpoint: Path, name: str) -> None:
    with pytest.raises(BadInput):
        add_voice(name, checkpoint, RECORD)


def test_what_is_no_voice_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no voice"):
        add_voice("ada", tmp_path, RECORD)
    (checkpoint / "config.json").write_text(json.dumps(tiny(100)))
    with pytest.raises(BadInput, match="100 numbers"):
        add_voice("ada", checkpoint, RECORD)
    for config in ("5", "[]", '{"model": 5, "data": 5, "train": 5}', "[" * 100_000, "nothing"):
        (checkpoint / "config.json").write_text(config)
        with pytest.raises(BadInput, match=r"config\.json"):
            add_voice("ada", checkpoint, RECORD)
    assert "ada" not in voices()


def test_a_voice_that_could_not_sing_is_not_taken_in(checkpoint: Path, home: Path) -> None:
    config = tiny(768)
    for part, name, value in (("data", "hop_length", 128), ("model", "hidden_channels", 12), ("model", "n_heads", 0)):
        (checkpoint / "config.json").write_text(json.dumps(config | {part: config[part] | {name: value}}))
        with pytest.raises(BadInput):
            add_voice("ada", checkpoint, RECORD)
    (checkpoint / "config.json").write_text(json.dumps(config))
    state = dict(weights_of(json.dumps(config)))
    state["pre.bias"] = torch.full_like(state["pre.bias"], float("nan"))
    torch.save({"model": state}, checkpoint / "G_99999.pth")
    with pytest.raises(BadInput, match="not finite"):
        add_voice("ada", checkpoint, RECORD)
    (checkpoint / "G_99999.pth").unlink()
    described = json.loads((find_voice("lj") / "voice.json").read_text())
    (checkpoint / "voice.json").write_text(json.dumps(described | {"content_encoder": "contentvec", "speaker": 99}))
    with pytest.raises(BadInput, match="speakers 0 to 0; its card names 99"):
        add_voice("ada", checkpoint, RECORD)
    assert not list((home / "voices").iterdir())


@pytest.mark.parametrize(
    ("entry", "value"),
    [("speaker", "x"), ("speaker", -1), ("weights", "../x"), ("formants", 0), ("formants", "x"), ("title", 3),
     ("likeness", [float("nan")]), ("figures", 7), ("range", 3), ("nonsense", 1)],
)  # fmt: skip
def test_a_card_with_a_wrong_entry_is_no_card(tmp_path: Path, entry: str, value: object) -> None:
    known = json.loads((find_voice("world") / "voice.json").read_text())
    (tmp_path / "voice.json").write_text(json.dumps(known))
    assert card(tmp_path).engine == "world"
    (tmp_path / "voice.json").write_text(json.dumps(known | {entry: value}))
    with pytest.raises(BadInput, match="no readable card"):
        card(tmp_path)


def test_one_of_several_speakers_is_chosen_by_name_or_number(tmp_path: Path, home: Path) -> None:
    several = {**tiny(768, n_speakers=3), "spk": {"ann": 0, "bob": 2}}
    folder = written(tmp_path / "training", several)
    with pytest.raises(BadInput, match=r"2 speakers; choose one with --speaker: ann \(0\), bob \(2\)"):
        add_voice("ada", folder, RECORD)
    for wrong in ("eve", "3", "-1"):
        with pytest.raises(BadInput, match=rf"no speaker '{wrong}'; give a number of 0 to 2"):
            add_voice("ada", folder, RECORD, wrong)
    assert card(add_voice("bob", folder, RECORD, "bob")).speaker == 2
    assert card(add_voice("one", folder, RECORD, "1")).speaker == 1
    written(folder, {**several, "spk": {"ann": "x"}})
    with pytest.raises(BadInput, match="does not number its speakers"):
        add_voice("ada", folder, RECORD, "ann")


def installed_encoder(home: Path, monkeypatch: pytest.MonkeyPatch, projected: bool) -> None:
    """A tiny encoder in ContentVec's place."""
    config = debug_encoder_config()
    config.num_hidden_layers = 9
    state = {name: tensor.contiguous() for name, tensor in init_encoder(config, 0).state_dict().items()}
    if projected:
        rng = torch.Generator().manual_seed(0)
        state |= {"final_proj.weight": torch.randn(256, 16, generator=rng), "final_proj.bias": torch.ones(256)}
    path = home / "weights" / "content_encoder" / "contentvec" / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path)
    config.to_json_file(path.parent / "config.json", use_diff=False)
    row = registry.find("content_encoder", "contentvec")
    tiny_row = replace(row, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), bytes=path.stat().st_size)
    monkeypatch.setattr(registry, "manifest", lambda: (tiny_row,))


def test_a_voice_of_4_0_sings_from_projected_content_where_the_encoder_has_it(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(256)
    del config["data"]["contentvec_final_proj"]
    folder = written(tmp_path / "training", config)
    installed_encoder(home, monkeypatch, projected=False)
    with pytest.raises(BadInput, match="no final_proj"):
        add_voice("ada", folder, RECORD)
    installed_encoder(home, monkeypatch, projected=True)
    engine: Any = load_voice(add_voice("ada", folder, RECORD), "cpu").engine
    frames = 20
    audio = np.random.default_rng(0).normal(0, 0.1, frames * 256).astype(np.float32)
    assert engine._content(audio, frames).shape == (frames, 256)
    hz = np.full(frames, 220, np.float32)
    assert np.isfinite(engine.resynthesise(audio, hz, hz, 0.3, 0)).all()
    config["data"]["contentvec_final_proj"] = False
    with pytest.raises(BadInput, match="wants content of 256 numbers a frame, and contentvec gives 16"):
        add_voice("eve", written(folder, config), RECORD)


def test_a_removed_voice_is_gone_with_its_training_and_a_shipped_one_stays(checkpoint: Path, home: Path) -> None:
    folder = add_voice("ada", checkpoint, RECORD)
    trained = [home / "training" / "ada", home / "training" / "voice" / "ada"]
    other = home / "training" / "voice" / "bob"
    for place in (*trained, other):
        (place / "audio").mkdir(parents=True)
    remove_voice("ada", keep_training=True)
    assert not folder.exists()
    assert own_folders("ada") == [trained[1], trained[0]]
    add_voice("ada", checkpoint, RECORD)
    remove_voice("ada")
    assert not any(place.exists() for place in (folder, *trained))
    for name in ("ada", "world", "voice", "../voices", ".."):
        with pytest.raises(BadInput):
            remove_voice(name)
    assert other.is_dir()


def test_a_voice_whose_card_is_gone_is_known_as_broken_and_can_be_removed(checkpoint: Path) -> None:
    folder = add_voice("ada", checkpoint, RECORD)
    (folder / "voice.json").unlink()
    assert broken_voices() == {"ada": folder}
    with pytest.raises(BadInput, match="already"):
        check_name("ada")
    remove_voice("ada")
    assert not folder.exists()


def test_what_is_revoked_sings_no_more_until_a_new_record_is_given(checkpoint: Path) -> None:
    folder = add_voice("ada", checkpoint, RECORD)
    record = (folder / "consent.toml").read_bytes()
    revocation.revoke("ada", date(2026, 5, 1))
    with pytest.raises(BadInput, match="revoked on 2026-05-01"):
        consent(folder)
    with pytest.raises(BadInput, match="already"):
        add_voice("ada", checkpoint, RECORD)
    remove_voice("ada")
    folder = add_voice("ada", checkpoint, replace(RECORD, check="a letter of May"))
    assert consent(folder).check == "a letter of May"
    (folder / "consent.toml").write_bytes(record)
    with pytest.raises(BadInput, match="revoked"):
        consent(folder)


def test_a_shipped_voice_is_revoked_for_this_home_alone_and_sings_again_by_a_new_record(home: Path) -> None:
    shipped = find_voice("world")
    revocation.revoke("world")
    for ask in (consent, lambda f: load_voice(f, "cpu")):
        with pytest.raises(BadInput, match="revoked"):
            ask(shipped)
    again = add_voice("world", shipped, RECORD)
    assert find_voice("world") == again
    assert consent(again) == RECORD
    assert card(again) == card(shipped)
    with pytest.raises(BadInput, match="revoked"):
        consent(shipped)
    remove_voice("world")
    with pytest.raises(BadInput, match="revoked"):
        consent(find_voice("world"))


@pytest.mark.parametrize("note", ["", "5", '{"given_since": 3}', "nothing"])
def test_a_damaged_note_still_revokes(home: Path, note: str) -> None:
    revocation.revoke("world")
    (home / "voices" / ".revoked" / "world.json").write_text(note)
    with pytest.raises(BadInput, match="revoked on an unknown day"):
        consent(find_voice("world"))
