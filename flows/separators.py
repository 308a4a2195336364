"""The separator that a run uses: the one asked for, fetched on first use, or the shipped one where it cannot be had."""

from dataclasses import dataclass
from pathlib import Path

from models.core.download import Unreachable, download
from models.separation.checkpoints import SUFFIXES, separator_path, to_fetch
from tasks.runs.progress import stage_watch

SHIPPED = "band-mask"


@dataclass(frozen=True)
class Usable:
    """A separator's name or file, ready to load, and what the user is to know of it, a sentence each."""

    separator: str
    notes: tuple[str, ...] = ()


def known(separator: str) -> None:
    """Raise `BadInput` unless it is a user's file, a whole shipped network, or one that can be fetched."""
    if Path(separator).suffix in SUFFIXES or not to_fetch(separator):
        separator_path(separator)


def usable(separator: str) -> Usable:
    """The separator, fetched where it is not here; without a network the shipped one, with a note that says so.

    Raises `BadInput` for a name that is not known, a full disk, and a file that is not what the manifest says.
    """
    known(separator)
    if Path(separator).suffix in SUFFIXES:
        return Usable(separator)
    for part in to_fetch(separator):
        try:
            download(part, stage_watch(f"fetch {part.file}"))
        except Unreachable as error:
            instead = f"{SHIPPED}, the shipped separator, took the song apart instead of {separator}, and less well."
            return Usable(SHIPPED, (f"{error} So {instead}",))
    return Usable(separator)
