"""Revoked consent: a file in the user's home by the voice's name, which invalidates older consent records.

It is kept apart since a shipped voice's folder is not the user's to change. Records given after the revocation, by
adding a voice under that name, are listed in it and hold.
"""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

from models.core.registry import home


def revoke(name: str, today: date | None = None) -> None:
    """Invalidate all consent records that voices of that name have by now."""
    _write(name, {"on": (today or date.today()).isoformat(), "given_since": []})


def revoked_on(name: str) -> str | None:
    """The day on which consent was revoked, or None; "an unknown day" where the file is damaged."""
    path = _path(name)
    if not path.exists():
        return None
    return str(_read(path).get("on", "an unknown day"))


def holds(name: str, record: str) -> bool:
    """Whether the consent record of that digest is not revoked."""
    path = _path(name)
    return not path.exists() or record in _read(path).get("given_since", [])


def given_anew(name: str, record: str) -> None:
    """Let the record of that digest hold although older ones were revoked."""
    path = _path(name)
    if path.exists():
        entries = _read(path)
        _write(
            name, {"on": entries.get("on", "an unknown day"), "given_since": [*entries.get("given_since", []), record]}
        )


def _path(name: str) -> Path:
    return home() / "voices" / ".revoked" / f"{name}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) and isinstance(entries.get("given_since"), list) else {}


def _write(name: str, entries: dict[str, Any]) -> None:
    path = _path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(entries) + "\n")
    os.replace(part, path)
