"""Which separator a run uses: the one that was asked for, fetched on first use, or by "auto" the best one at hand."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from models.core.download import Unreachable, answers, download, offline
from models.core.errors import BadInput
from models.core.registry import Weights, home
from models.separation.checkpoints import SUFFIXES, separator_path, to_fetch
from models.separation.settings import AUTO
from tasks.runs.progress import stage_watch

SHIPPED, BEST = "band-mask", "htdemucs"
"""What comes with the project, and what "auto" prefers."""
PROBE_S = 3.0
"""How long "auto" waits for a hub to answer, in seconds."""
PROBE_AGAIN_S = 3600.0
"""How long a hub that did not answer is not asked again, in seconds."""


@dataclass(frozen=True)
class Usable:
    """A separator's name or file, ready to load, and what the user is to know of it, a sentence each."""

    separator: str
    notes: tuple[str, ...] = ()


def known(separator: str) -> None:
    """Raise `BadInput` unless it is "auto", a user's file, a whole shipped network, or one that can be fetched."""
    if separator != AUTO and (Path(separator).suffix in SUFFIXES or not to_fetch(separator)):
        separator_path(separator)


def usable(separator: str) -> Usable:
    """The separator, fetched where it is not here; without a network the shipped one, with a note that says so.

    "auto" is htdemucs where it has been fetched or can be, else the shipped one, and says which and why. Raises
    `BadInput` for a name that is not known; and but for "auto", where the shipped one is taken instead, for a full disk
    and for a file that is not what the manifest says.
    """
    known(separator)
    if separator == AUTO:
        return _best()
    if Path(separator).suffix in SUFFIXES:
        return Usable(separator)
    try:
        _fetch(separator)
    except Unreachable as error:
        return Usable(SHIPPED, (f"{error} So {SHIPPED}, the shipped separator, was used instead of {separator}.",))
    return Usable(separator)


def _best() -> Usable:
    missing = _missing(BEST)
    if not missing:
        return Usable(BEST, (f"Separated by {BEST}, which has been fetched.",))
    reason = _unavailable(missing[0])
    if not reason:
        try:
            _fetch(BEST)
            return Usable(BEST, (f"Separated by {BEST}, fetched for this remix.",))
        except BadInput as error:
            _remember_failure()
            reason = str(error)
    return Usable(SHIPPED, (f"Separated by {SHIPPED}, the shipped separator, not by {BEST}: {reason}",))


def _unavailable(weights: Weights) -> str:
    """Why these weights are not to be fetched now, or "" where the hub answers."""
    if offline():
        return "this machine is set to be offline."
    try:
        age_s = time.time() - _failure().stat().st_mtime
    except OSError:
        age_s = PROBE_AGAIN_S
    if 0 <= age_s < PROBE_AGAIN_S:
        return f"its hub did not answer {age_s / 60:.0f} minutes ago; it is asked once in an hour."
    if answers(weights.url, PROBE_S):
        return ""
    _remember_failure()
    return "its hub does not answer."


def _missing(separator: str) -> list[Weights]:
    return [part for part in to_fetch(separator) if not part.path.is_file()]


def _fetch(separator: str) -> None:
    for part in to_fetch(separator):
        download(part, stage_watch(f"fetch {part.file}"))


def _failure() -> Path:
    return home() / "hub-unreachable"


def _remember_failure() -> None:
    try:
        _failure().parent.mkdir(parents=True, exist_ok=True)
        _failure().touch()
        os.utime(_failure())
    except OSError:  # then it is asked again next time
        return
