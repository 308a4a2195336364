"""The one error whose message is meant for the person at the keyboard."""

from collections.abc import Iterable
from difflib import get_close_matches

_MANY = 40


class BadInput(Exception):
    """Something the user gave cannot be used; the message is one clear sentence naming it and the reason."""


class Cancelled(Exception):
    """The caller asked a long computation to stop; nothing of it was kept."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """A `BadInput` for a name that is not known, with the nearest names that are, or all where they are few.

    >>> print(unknown_name("voice", "lk", ["lj", "world"]))
    There is no voice named 'lk'; did you mean 'lj'? Known: lj, world.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    all_of_them = "" if near and len(names) > _MANY else f" Known: {', '.join(names) or 'none'}."
    return BadInput(f"There is no {kind} named {name!r}{hint}{all_of_them}")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether memory was too little, the machine's or a GPU's (torch itself is not imported for a name)."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
