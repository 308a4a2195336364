"""Which voices there are, and that nobody is sung without consent.

A voice is a folder: weights (`model.safetensors`, or a fork's `G_*.pth`) with `config.json`, a card `voice.json`, and
`consent.toml`, the record of who allowed it or on what ground it is free. The record is sealed over its own words and
the digest of the voice it is about, so that neither can be changed under the other.
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
"""On what a voice may be used."""


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
class Range:
    """How long a voice was heard on each semitone: `seconds[i]` on MIDI pitch `lowest + i`."""

    lowest: int
    seconds: tuple[float, ...]

    @property
    def compass(self) -> str:
        """From which note to which it was heard for half a second and more.

        >>> Range(59, (0.1, 2.0, 0.0, 3.0)).compass
        'C4 to D4'
        """
        heard = [self.lowest + i for i, seconds in enumerate(self.seconds) if seconds >= 0.5]
        return f"{note_name(heard[0])} to {note_name(heard[-1])}" if heard else "unknown"


def note_name(pitch: int) -> str:
    """A MIDI pitch's name.

    >>> note_name(60), note_name(70)
    ('C4', 'A#4')
    """
    return f"{ROOTS[pitch % 12]}{pitch // 12 - 1}"


@dataclass(frozen=True)
class Card:
    """What there is to know of a voice.

    `engine` is "so-vits-svc", "knn" or "world"; `weights` the file name of its weights ("" for none);
    `content_encoder` the manifest's name of the encoder it was trained with; `speaker` its index in the network;
    `unvoiced_f0` whether frames without pitch are "zero" (trained here) or "interpolated" (trained by the fork);
    `formants` the ratio by which the world engine moves formants; `heard_s` the seconds of training material;
    `likeness` the embedding of the voice (`meters.embedding`), `spectrum` its recordings' average one in dB
    (`timbre.spectrum`) and `figures` what was measured of it when it was made, all empty where nobody did.
    """

    title: str
    engine: str
    licence: str
    range: Range
    weights: str = ""
    content_encoder: str = ""
    speaker: int = 0
    unvoiced_f0: str = "zero"
    formants: float = 1.0
    heard_s: float = 0.0
    likeness: tuple[float, ...] = ()
    spectrum: tuple[float, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


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
    """The user's folders that are no voices, for want of a card, by name."""
    found = sorted(user_folder().iterdir()) if user_folder().is_dir() else []
    known = voices()
    return {p.name: p for p in found if p.is_dir() and not p.name.startswith(".") and p.name not in known}


def user_folder() -> Path:
    """Where the user's own voices are kept."""
    return home() / "voices"


def _folders(root: Path) -> list[Path]:
    found = sorted(path.parent for path in root.glob(f"*/{_CARD}")) if root.is_dir() else []
    return [folder for folder in found if not folder.name.startswith(".")]


def find_voice(name: str) -> Path:
    """The folder of the voice of that name; raises `BadInput` naming the nearest ones."""
    known = voices()
    if name not in known:
        raise unknown_name("voice", name, known)
    return known[name]


def card(folder: Path) -> Card:
    """The card of a voice; raises `BadInput` when it cannot be read."""
    try:
        given = json.loads((folder / _CARD).read_text())
        if not isinstance(given, dict):
            raise TypeError("it must hold entries by name")
        reach = given.pop("range")
        likeness, spectrum = (tuple(float(x) for x in given.pop(name, ())) for name in ("likeness", "spectrum"))
        seconds = tuple(float(s) for s in reach["seconds"])
        found = Card(range=Range(int(reach["lowest"]), seconds), likeness=likeness, spectrum=spectrum, **given)
        _check_card(found)
        return found
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise BadInput(f"The voice in {folder} has no readable card ({_CARD}): {reason}.") from error


def _check_card(given: Card) -> None:
    """Raise `ValueError` or `TypeError` where an entry of a card is none of its kind."""
    for name in ("title", "engine", "licence", "weights", "content_encoder", "unvoiced_f0"):
        if not isinstance(getattr(given, name), str):
            raise TypeError(f"its {name!r} must be text")
    if not isinstance(given.speaker, int) or given.speaker < 0:
        raise TypeError("its 'speaker' must be a whole number, 0 or more")
    if not isinstance(given.figures, Mapping):
        raise TypeError("its 'figures' must hold numbers by name")
    if given.weights and (Path(given.weights).name != given.weights or given.weights == ".."):
        raise ValueError("its 'weights' must be the name of a file beside it")
    numbers = [given.formants, given.heard_s, *given.range.seconds, *given.likeness, *given.spectrum]
    if not all(math.isfinite(number) for number in [*numbers, *given.figures.values()]) or given.formants <= 0:
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
    """Raise `BadInput` where no voice could be used by a record, before there is the voice to seal it with."""
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
    """The digest of a record's words and of the voice it is about."""
    words = {entry.name: str(getattr(given, entry.name)) for entry in fields(Consent)}
    words["voice"] = voice_digest(folder)
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def write_consent(given: Consent, folder: Path) -> None:
    """Write a sealed record of consent into a voice's folder; raises `BadInput` when it says too little."""
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


def write_card(described: Card, folder: Path) -> None:
    """Write a voice's card."""
    entries = {entry.name: getattr(described, entry.name) for entry in fields(Card)}
    entries["figures"] = {name: round(value, 3) for name, value in described.figures.items()}
    entries["likeness"] = [round(x, 4) for x in described.likeness]
    entries["spectrum"] = [round(x, 1) for x in described.spectrum]
    entries["range"] = {"lowest": described.range.lowest, "seconds": [round(s, 2) for s in described.range.seconds]}
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda numbers: " ".join(numbers[0].split()), text)
    (folder / _CARD).write_text(text + "\n")


def voice_digest(folder: Path) -> str:
    """The digest of what a voice is: its weights, configuration and card."""
    described = card(folder)
    configured = ["config.json"] if described.engine == "so-vits-svc" else []
    names = [_CARD, *configured, *([described.weights] if described.weights else [])]
    for name in names:
        if not (folder / name).is_file():
            raise BadInput(f"The voice {folder.name!r} lacks its file {name}.")
    digests = [file_digest(folder / name) for name in names]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def encoder_digest(folder: Path) -> str:
    """The digest of the content encoder that a voice needs; "" for an engine that needs none."""
    described = card(folder)
    return find("content_encoder", described.content_encoder).sha256 if described.content_encoder else ""


def consent_digest(folder: Path) -> str:
    """The digest of a voice's record of consent; raises what `consent` raises, so a refused voice has no cache key."""
    consent(folder)
    return file_digest(folder / _RECORD)
