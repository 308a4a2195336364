"""Registry of installed voices: their folders, cards and consent records; no voice is used without a valid record.

A voice is a folder: weights (`model.safetensors`, or a fork's `G_*.pth`) with `config.json`, a card `voice.json`, and
`consent.toml`, the record of who allowed it or on what ground it is free. The record is sealed by a digest of its own
entries and of the voice, so that neither can be changed without the other.
"""

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any

from models.conversion.voices import revocation
from models.core.errors import BadInput, unknown_name
from models.core.registry import SHIPPED, file_digest, find, home
from models.symbolic.harmony import ROOTS

_CARD = "voice.json"
_RECORD = "consent.toml"
GROUNDS = ("permission", "licence", "public domain", "no one's voice")
"""Legal grounds on which a voice may be used."""
_JSON_KEYS = {"training_s": "heard_s", "speaker_embedding": "likeness", "ltas_db": "spectrum", "metrics": "figures"}
"""Entries of `voice.json` that are not named as the fields of `Card`."""


@dataclass(frozen=True)
class Consent:
    """A record of consent.

    `who` is whose voice it is, `given_by` who allowed it, `on` when, `use` what for, `ground` one of permission,
    licence, public domain or no one's voice, `check` how it can be verified, `until` the last day it holds, if any.
    """

    who: str
    given_by: str
    on: date
    use: str
    ground: str
    check: str
    until: date | None = None


@dataclass(frozen=True)
class VocalRange:
    """Pitch histogram of a voice's recordings: `seconds[i]` on MIDI pitch `lowest + i`."""

    lowest: int
    seconds: tuple[float, ...]

    @property
    def compass(self) -> str:
        """From the lowest to the highest note with half a second or more.

        >>> VocalRange(59, (0.1, 2.0, 0.0, 3.0)).compass
        'C4 to D4'
        """
        notes = [self.lowest + i for i, seconds in enumerate(self.seconds) if seconds >= 0.5]
        return f"{note_name(notes[0])} to {note_name(notes[-1])}" if notes else "unknown"


def note_name(pitch: int) -> str:
    """A MIDI pitch's name.

    >>> note_name(60), note_name(70)
    ('C4', 'A#4')
    """
    return f"{ROOTS[pitch % 12]}{pitch // 12 - 1}"


@dataclass(frozen=True)
class Card:
    """A voice's metadata, as in its `voice.json`.

    `engine` is "so-vits-svc", "knn" or "world"; `weights` the file name of its weights ("" for none);
    `content_encoder` the manifest's name of the encoder it was trained with; `speaker` its index in the network;
    `unvoiced_f0` whether F0 of unvoiced frames is "zero" (trained here) or "interpolated" (trained by the fork);
    `formants` the ratio by which the world engine shifts formants; `training_s` the seconds of training material.
    Empty where not measured: `speaker_embedding` (`models.conversion.metrics`), `ltas_db`, the recordings' long-term
    average spectrum (`models.conversion.ltas_eq`), and `metrics`, the validation metrics of its training.
    """

    title: str
    engine: str
    licence: str
    range: VocalRange
    weights: str = ""
    content_encoder: str = ""
    speaker: int = 0
    unvoiced_f0: str = "zero"
    formants: float = 1.0
    training_s: float = 0.0
    speaker_embedding: tuple[float, ...] = ()
    ltas_db: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


def voices() -> dict[str, Path]:
    """Every installed voice's folder by name: those shipped, then the user's below `$REMIX_HOME/voices`.

    A user's voice has a shipped one's name only where the shipped one was revoked and another was added for it.
    """
    shipped = shipped_voices()
    own = {folder.name: folder for folder in _folders(user_folder())}
    return shipped | {name: own[name] for name in own if name not in shipped or revocation.revoked_on(name)}


def shipped_voices() -> dict[str, Path]:
    """The folders of the voices that come with the project, by name."""
    return {folder.name: folder for folder in _folders(SHIPPED / "voices")}


def broken_voices() -> dict[str, Path]:
    """The user's voice folders without a card, by name."""
    paths = sorted(user_folder().iterdir()) if user_folder().is_dir() else []
    known = voices()
    return {p.name: p for p in paths if p.is_dir() and not p.name.startswith(".") and p.name not in known}


def user_folder() -> Path:
    """Where the user's own voices are kept."""
    return home() / "voices"


def _folders(root: Path) -> list[Path]:
    folders = sorted(path.parent for path in root.glob(f"*/{_CARD}")) if root.is_dir() else []
    return [folder for folder in folders if not folder.name.startswith(".")]


def find_voice(name: str) -> Path:
    """The folder of the voice of that name; raises `BadInput` naming the nearest ones."""
    known = voices()
    if name not in known:
        raise unknown_name("voice", name, known)
    return known[name]


def card(folder: Path) -> Card:
    """The card of a voice; raises `BadInput` when it cannot be read."""
    try:
        entries = json.loads((folder / _CARD).read_text())
        if not isinstance(entries, dict):
            raise TypeError("it must hold entries by name")
        histogram = entries.pop("range")
        vocal_range = VocalRange(int(histogram["lowest"]), tuple(float(s) for s in histogram["seconds"]))
        by_field = {name: entries.pop(key) for name, key in _JSON_KEYS.items() if key in entries}
        for name in ("speaker_embedding", "ltas_db"):
            by_field[name] = tuple(float(x) for x in by_field.get(name, ()))
        result = Card(range=vocal_range, **by_field, **entries)
        _check_card(result)
        return result
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise BadInput(f"The voice in {folder} has no readable card ({_CARD}): {reason}.") from error


def _check_card(given: Card) -> None:
    """Raise `ValueError` or `TypeError` for an entry of the wrong type or range."""
    for name in ("title", "engine", "licence", "weights", "content_encoder", "unvoiced_f0"):
        if not isinstance(getattr(given, name), str):
            raise TypeError(f"its {name!r} must be text")
    if not isinstance(given.speaker, int) or given.speaker < 0:
        raise TypeError("its 'speaker' must be a whole number, 0 or more")
    if not isinstance(given.metrics, Mapping):
        raise TypeError("its 'figures' must hold numbers by name")
    if given.weights and (Path(given.weights).name != given.weights or given.weights == ".."):
        raise ValueError("its 'weights' must be the name of a file beside it")
    numbers = [given.formants, given.training_s, *given.range.seconds, *given.speaker_embedding, *given.ltas_db]
    if not all(math.isfinite(number) for number in [*numbers, *given.metrics.values()]) or given.formants <= 0:
        raise ValueError("it holds a number that is none, or formants that are not over 0")


def consent(folder: Path, today: date | None = None) -> Consent:
    """A voice's record of consent; raises `BadInput` when it is missing, incomplete, altered, revoked or expired."""
    record = _record(folder)
    name = folder.name
    if not revocation.holds(name, file_digest(folder / _RECORD)):
        raise BadInput(f"The voice {name!r} is refused: its consent was revoked on {revocation.revoked_on(name)}.")
    seal = record.pop("seal", None)
    unknown = set(record) - {entry.name for entry in fields(Consent)}
    if unknown:
        raise BadInput(f"The voice {name!r} is refused: its {_RECORD} has an unknown entry {sorted(unknown)[0]!r}.")
    for entry in ("who", "given_by", "on", "use", "ground", "check"):
        if not record.get(entry):
            raise BadInput(f"The voice {name!r} is refused: its {_RECORD} does not say {entry!r}.")
    if not isinstance(record["on"], date) or not isinstance(record.get("until", record["on"]), date):
        raise BadInput(f"The voice {name!r} is refused: a day in its {_RECORD} is not a date (2026-01-31, unquoted).")
    given = Consent(**record)
    if given.ground not in GROUNDS:
        raise BadInput(
            f"The voice {name!r} is refused: the ground of its {_RECORD} is not one of {', '.join(GROUNDS)}."
        )
    if seal != consent_seal(given, folder):
        raise BadInput(f"The voice {name!r} is refused: its {_RECORD} or its weights were altered after sealing.")
    if given.until and given.until < (today or date.today()):
        raise BadInput(f"The voice {name!r} is refused: its consent ended on {given.until}.")
    return given


def check_record(given: Consent, today: date | None = None) -> None:
    """Raise `BadInput` for a record that would not be valid, before there is a voice to seal it with."""
    for entry in fields(Consent):
        value = getattr(given, entry.name)
        if isinstance(value, str) and not value.strip():
            raise BadInput(f"The record of consent does not say {entry.name!r}.")
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadInput(f"The record of consent's {entry.name!r} holds a character that cannot be written.")
    if given.ground not in GROUNDS:
        raise BadInput(f"The ground of a record of consent is {', '.join(GROUNDS)}; {given.ground!r} is none of these.")
    if given.until and given.until < (today or date.today()):
        raise BadInput(f"The consent ended on {given.until}; a voice cannot be taken in with it.")


def _record(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"The voice {folder.name!r} is refused: it has no record of consent ({_RECORD}).") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"The voice {folder.name!r} is refused: its {_RECORD} cannot be read: {error}.") from error


def consent_seal(given: Consent, folder: Path) -> str:
    """The digest of a record's entries and of the voice it is about."""
    entries = {entry.name: str(getattr(given, entry.name)) for entry in fields(Consent)}
    entries["voice"] = voice_digest(folder)
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def write_consent(given: Consent, folder: Path) -> None:
    """Write a sealed record of consent into a voice's folder; raises `BadInput` for an incomplete one."""
    lines = []
    for entry in fields(Consent):
        value = getattr(given, entry.name)
        if value is not None:
            lines.append(f"{entry.name} = {value.isoformat() if isinstance(value, date) else _toml_text(value)}")
    lines.append(f'seal = "{consent_seal(given, folder)}"')
    (folder / _RECORD).write_text("\n".join(lines) + "\n", encoding="utf-8")
    revocation.given_anew(folder.name, file_digest(folder / _RECORD))
    consent(folder, given.on)


def _toml_text(text: str) -> str:
    """A TOML string. JSON's is one, save that it may hold DEL and, of a pair of surrogates, escapes.

    >>> print(_toml_text('𠮷田 "Yo"'))
    "𠮷田 \\"Yo\\""
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_card(voice_card: Card, folder: Path) -> None:
    """Write a voice's card."""
    entries = {_JSON_KEYS.get(entry.name, entry.name): getattr(voice_card, entry.name) for entry in fields(Card)}
    entries["figures"] = {name: round(value, 3) for name, value in voice_card.metrics.items()}
    entries["likeness"] = [round(x, 4) for x in voice_card.speaker_embedding]
    entries["spectrum"] = [round(x, 1) for x in voice_card.ltas_db]
    entries["range"] = {"lowest": voice_card.range.lowest, "seconds": [round(s, 2) for s in voice_card.range.seconds]}
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda numbers: " ".join(numbers[0].split()), text)
    (folder / _CARD).write_text(text + "\n")


def voice_digest(folder: Path) -> str:
    """The digest of a voice: its weights, configuration and card."""
    voice_card = card(folder)
    configured = ["config.json"] if voice_card.engine == "so-vits-svc" else []
    names = [_CARD, *configured, *([voice_card.weights] if voice_card.weights else [])]
    for name in names:
        if not (folder / name).is_file():
            raise BadInput(f"The voice {folder.name!r} lacks its file {name}.")
    digests = [file_digest(folder / name) for name in names]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def encoder_digest(folder: Path) -> str:
    """The digest of a voice's content encoder; "" for an engine that has none."""
    voice_card = card(folder)
    return find("content_encoder", voice_card.content_encoder).sha256 if voice_card.content_encoder else ""


def consent_digest(folder: Path) -> str:
    """The digest of a voice's record of consent; raises what `consent` raises, so a refused voice has no cache key."""
    consent(folder)
    return file_digest(folder / _RECORD)
