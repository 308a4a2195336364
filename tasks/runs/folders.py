"""Folders that runs may read, by name: a run's parameter is a name, which only this machine's command line can give."""

import json
import os
import re
from pathlib import Path

from models.core.errors import BadInput, unknown_name
from models.core.registry import home

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,63}")
INBOX = "inbox"
SONGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aiff", ".aif")


def folders() -> dict[str, Path]:
    """Every registered folder by name; `inbox` is always one."""
    try:
        registered = json.loads(_register().read_text())
    except (OSError, ValueError):
        registered = {}
    return {INBOX: Path(os.environ.get("REMIX_INBOX") or home() / "inbox")} | {
        k: Path(v) for k, v in registered.items()
    }


def find_folder(name: str) -> Path:
    """The folder registered under a name; raises `BadInput` for anything else, a path or a URL above all."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"A folder is named by the name it was registered with, not by {name[:80]!r}.")
    known = folders()
    if name not in known:
        raise unknown_name("registered folder", name, known)
    return known[name]


def register(name: str, folder: Path, replace: bool = False) -> None:
    """Give a folder a name that runs may use; raises what `check_name` raises."""
    check_name(name, folder, replace)
    _keep({**folders(), name: folder.resolve()})


def check_name(name: str, folder: Path, replace: bool = False) -> None:
    """Raise `BadInput` for no name, no folder, or a name that is taken, unless it is to stand for this one now."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name: letters, digits, space, - and _, at most 64.")
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder.")
    known, whole = folders(), folder.resolve()
    if known.get(name, whole) != whole and (not replace or name == INBOX):
        raise BadInput(f"The name {name!r} stands for {known[name]} already.")


def forget(name: str) -> None:
    """Take a folder's name away; the folder stays."""
    _keep({k: v for k, v in folders().items() if k != name})


def songs_in(name: str) -> tuple[Path, ...]:
    """The audio files of a registered folder, sorted, without links that lead out; raises `BadInput` for no folder."""
    folder = find_folder(name).resolve()
    if not folder.is_dir():
        raise BadInput(f"The folder {name!r} stands for is not there.")
    paths = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SONGS and path.is_file())
    return tuple(path for path in paths if path.resolve().is_relative_to(folder))


def _register() -> Path:
    return home() / "folders.json"


def _keep(known: dict[str, Path]) -> None:
    path = _register()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps({k: str(v) for k, v in known.items() if k != INBOX}, indent=1))
    os.replace(partial, path)
