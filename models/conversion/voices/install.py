"""Adding and removing a user's voice: a checkpoint becomes a folder with a card and a sealed consent record."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.conversion.voices.registry import (
    Card,
    Consent,
    VocalRange,
    card,
    shipped_voices,
    user_folder,
    voices,
    write_card,
    write_consent,
)
from models.conversion.voices.revocation import revoked_on
from models.core.errors import BadInput
from models.core.registry import find, home

_ENCODERS = {128: "hubert-small", 256: "contentvec", 768: "contentvec"}
"""The content encoder of a voice, by its content dimension (`ssl_dim`)."""
OTHER_TRAININGS = ("voice", "music-transformer", "separator")
"""Folders in `$REMIX_HOME/training` that do not belong to a voice."""


def add_voice(name: str, given: Path, record: Consent, speaker: str | None = None) -> Path:
    """Copy a voice into the user's voices and seal its record of consent; returns its folder.

    `given` holds weights (`model.safetensors`, or a fork's `G_*.pth`, of which the one of most steps is taken) and
    `config.json`, and may hold a card; with the card of another engine, what that one names. `speaker` is the name or
    the number of one of a checkpoint's speakers. Raises `BadInput` when the name is taken or no file name, a file is
    missing, or the voice cannot be loaded.
    """
    check_name(name)
    files, voice_card = _files(name, given, speaker)
    target = user_folder() / name
    part = user_folder() / ".adding" / name
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for file in files:
            shutil.copy(file, part / file.name)
        write_card(voice_card, part)
        write_consent(record, part)
        _try(part)
        part.rename(target)
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
    return target


def _try(folder: Path) -> None:
    """Load a voice once as a test; only its weights where its content encoder is not fetched yet."""
    from models.conversion.convert import load_voice

    voice_card = card(folder)
    if voice_card.engine == "so-vits-svc" and not find("content_encoder", voice_card.content_encoder).path.is_file():
        from models.conversion.engines import so_vits_network
        from models.conversion.engines.so_vits import generator

        generator(folder, voice_card, so_vits_network.read_config(folder / "config.json"))
    else:
        load_voice(folder, "cpu")


def check_name(name: str) -> None:
    """Raise `BadInput` unless the name is valid and free."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name) or name in ("none", "same", *OTHER_TRAININGS):
        raise BadInput(f"A voice cannot be named {name!r}: use small letters, digits, '-' and '_'.")
    replaced = name in shipped_voices() and revoked_on(name) is not None
    if (user_folder() / name).exists() or (name in voices() and not replaced):
        raise BadInput(f"There is a voice named {name!r} already; remove it first or choose another name.")


def own_folders(name: str) -> list[Path]:
    """The folders of one of the user's voices: its own, and those it was trained in.

    Raises `BadInput` for a shipped voice and for an invalid name.
    """
    if Path(name).name != name or name.startswith("."):
        raise BadInput(f"{name!r} is no name of a voice.")
    if name in shipped_voices() and not (user_folder() / name).exists():
        raise BadInput(f"The voice {name!r} is shipped, not yours to remove; `remix voices revoke {name}` silences it.")
    trained = [home() / "training" / "voice" / name]
    if name not in OTHER_TRAININGS:
        trained.append(home() / "training" / name)
    return [folder for folder in (user_folder() / name, *trained) if folder.is_dir()]


def remove_voice(name: str, keep_training: bool = False) -> None:
    """Delete one of the user's voices, even if broken, with its training folders and the recordings in them.

    With `keep_training` only the voice is deleted, so that it can be trained further. Raises `BadInput` for a shipped
    or an unknown one.
    """
    folders = own_folders(name)
    if not folders:
        raise BadInput(f"There is no voice named {name!r} of your own to remove.")
    for folder in folders:
        if folder.parent == user_folder() or not keep_training:
            shutil.rmtree(folder)


def _files(name: str, given: Path, speaker: str | None) -> tuple[list[Path], Card]:
    """The voice's files, and its card."""
    if (given / "voice.json").is_file() and (voice_card := card(given)).engine != "so-vits-svc":
        if speaker is not None:
            raise BadInput(f"Only a voice of so-vits-svc has speakers to choose from; the one in {given} is another.")
        named = [given / voice_card.weights] if voice_card.weights else []
        if named and not named[0].is_file():
            raise BadInput(f"{given} lacks {voice_card.weights}, which its card names.")
        return named, voice_card
    weights = _weights(given)
    if not (given / "config.json").is_file():
        raise BadInput(f"{given} holds no config.json, without which its weights cannot be read.")
    return [weights, given / "config.json"], _card(name, given, weights, speaker)


def _weights(given: Path) -> Path:
    if (given / "model.safetensors").is_file():
        return given / "model.safetensors"
    steps = {path: re.fullmatch(r"G_(\d+)\.pth", path.name) for path in given.glob("G_*.pth")}
    checkpoints = {int(match[1]): path for path, match in steps.items() if match}
    if not checkpoints:
        raise BadInput(f"{given} holds no voice: neither model.safetensors nor G_<steps>.pth.")
    return checkpoints[max(checkpoints)]


def _card(name: str, given: Path, weights: Path, speaker: str | None) -> Card:
    """The given card with the file name of the weights, or a card made from the config."""
    from models.conversion.engines.so_vits_network import read_config

    config = read_config(given / "config.json")
    if (given / "voice.json").is_file():
        known = replace(card(given), weights=weights.name)
        return known if speaker is None else replace(known, speaker=_speaker(config, given, speaker))
    wanted = config["model"].get("ssl_dim")
    if not isinstance(wanted, int):
        raise BadInput(f"The config.json in {given} does not say which content its voice wants (ssl_dim).")
    if wanted not in _ENCODERS:
        raise BadInput(f"The voice in {given} wants content of {wanted} numbers a frame, which no encoder here gives.")
    number, encoder = _speaker(config, given, speaker), _ENCODERS[wanted]
    return Card(name, "so-vits-svc", "the user's own", VocalRange(0, ()), weights.name, encoder, number, "interpolated")


def _speaker(config: dict[str, Any], given: Path, speaker: str | None) -> int:
    """The index of the speaker chosen by name or index; of a single speaker without a choice."""
    known = config.get("spk", {})
    if not isinstance(known, dict) or not all(isinstance(number, int) for number in known.values()):
        raise BadInput(f"The config.json in {given} does not number its speakers (spk).")
    names = ", ".join(f"{name} ({number})" for name, number in known.items())
    if speaker is None and len(known) > 1:
        raise BadInput(f"The voice in {given} has {len(known)} speakers; choose one with --speaker: {names}.")
    chosen = next(iter(known.values()), 0) if speaker is None else known.get(speaker)
    if chosen is None and speaker is not None and speaker.isdecimal():
        chosen = int(speaker)
    most = config["model"].get("n_speakers")
    if chosen is None or chosen < 0 or (isinstance(most, int) and chosen >= most):
        room = f" of 0 to {most - 1}" if isinstance(most, int) else ""
        raise BadInput(f"The voice in {given} has no speaker {speaker or chosen!r}; give a number{room}, or: {names}.")
    return chosen
