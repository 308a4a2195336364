"""Consent that was taken back: a note in the user's home, by the voice's name, under which no older record holds.

It is a note, since a shipped voice's folder is not the user's to change. A record that is given anew, by adding a voice
under that name, is written into the note and holds.
"""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

from models.core.registry import home


def revoke(name: str, today: date | None = None) -> None:
    """Let no record of consent hold that a voice of that name has by now."""
    _write(name, {"on": (today or date.today()).isoformat(), "given_since": []})


def revoked_on(name: str) -> str | None:
    """When consent for voices of that name was taken back, if it was; "an unknown day" where the note is damaged."""
    note = _note(name)
    if not note.exists():
        return None
    return str(_read(note).get("on", "an unknown day"))


def holds(name: str, record: str) -> bool:
    """Whether no note stands against the record of consent of that digest."""
    note = _note(name)
    return not note.exists() or record in _read(note).get("given_since", [])


def given_anew(name: str, record: str) -> None:
    """Let the record of that digest hold, where older ones were revoked."""
    note = _note(name)
    if note.exists():
        known = _read(note)
        _write(name, {"on": known.get("on", "an unknown day"), "given_since": [*known.get("given_since", []), record]})


def _note(name: str) -> Path:
    return home() / "voices" / ".revoked" / f"{name}.json"


def _read(note: Path) -> dict[str, Any]:
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and isinstance(known.get("given_since"), list) else {}


def _write(name: str, known: dict[str, Any]) -> None:
    note = _note(name)
    note.parent.mkdir(parents=True, exist_ok=True)
    part = note.with_suffix(".part")
    part.write_text(json.dumps(known) + "\n")
    os.replace(part, note)
