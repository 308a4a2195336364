"""Taking a voice in and letting it go: a user's checkpoint becomes a folder with a card and a sealed record."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

from models.errors import BadInput
from models.so_vits_svc.voices import (
    Card,
    Consent,
    Range,
    card,
    user_folder,
    voices,
    write_card,
    write_consent,
)

_SIZES = {128: "hubert-small", 256: "contentvec", 768: "contentvec"}
"""The content encoder that a voice was trained with, by the numbers a frame that it wants."""


def add_voice(name: str, given: Path, record: Consent) -> Path:
    """Copy a voice into the user's voices and seal its record of consent; returns its folder.

    `given` holds weights (`model.safetensors`, or a fork's `G_*.pth`, of which the one of most steps is taken) and
    `config.json`, and may hold a card; with the card of another engine, what that one names. Raises `BadInput` when the
    name is taken or no file name, or a file is missing.
    """
    check_name(name)
    files, described = _files(name, given)
    target = user_folder() / name
    part = user_folder() / ".adding" / name
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for file in files:
            shutil.copy(file, part / file.name)
        write_card(described, part)
        write_consent(record, part)
        part.rename(target)
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
    return target


def check_name(name: str) -> None:
    """Raise `BadInput` unless a new voice can have that name."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name) or name == "none":
        raise BadInput(f"A voice cannot be named {name!r}: use small letters, digits, '-' and '_'.")
    if name in voices():
        raise BadInput(f"There is a voice named {name!r} already; remove it first or choose another name.")


def remove_voice(name: str) -> None:
    """Delete one of the user's voices; raises `BadInput` for a shipped or unknown one."""
    folder = user_folder() / name
    if name not in voices() or voices()[name] != folder:
        raise BadInput(f"There is no voice named {name!r} of your own to remove.")
    shutil.rmtree(folder)


def _files(name: str, given: Path) -> tuple[list[Path], Card]:
    """The files that the voice is made of, and its card."""
    if (given / "voice.json").is_file() and (described := card(given)).engine != "so-vits-svc":
        named = [given / described.weights] if described.weights else []
        if named and not named[0].is_file():
            raise BadInput(f"{given} lacks {described.weights}, which its card names.")
        return named, described
    weights = _weights(given)
    if not (given / "config.json").is_file():
        raise BadInput(f"{given} holds no config.json, without which its weights cannot be read.")
    return [weights, given / "config.json"], _card(name, given, weights)


def _weights(given: Path) -> Path:
    if (given / "model.safetensors").is_file():
        return given / "model.safetensors"
    steps = {path: re.fullmatch(r"G_(\d+)\.pth", path.name) for path in given.glob("G_*.pth")}
    found = {int(match[1]): path for path, match in steps.items() if match}
    if not found:
        raise BadInput(f"{given} holds no voice: neither model.safetensors nor G_<steps>.pth.")
    return found[max(found)]


def _card(name: str, given: Path, weights: Path) -> Card:
    """The given card with the name of the weights, or one made from the config."""
    if (given / "voice.json").is_file():
        return replace(card(given), weights=weights.name)
    try:
        wanted = int(json.loads((given / "config.json").read_text())["model"]["ssl_dim"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"The config.json in {given} does not say which content its voice wants: {error}.") from error
    if wanted not in _SIZES:
        raise BadInput(f"The voice in {given} wants content of {wanted} numbers a frame, which no encoder here gives.")
    return Card(name, "so-vits-svc", "the user's own", Range(0, ()), weights.name, _SIZES[wanted], 0, "interpolated")
