"""Errors: `BadInput`, whose message is for the user, and `Cancelled`."""

from collections.abc import Iterable
from difflib import get_close_matches

_MANY = 40


class BadInput(Exception):
    """Unusable input; the message is one sentence for the user that names it and the reason."""


class Cancelled(Exception):
    """A long computation was cancelled by its caller; no result was stored."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """A `BadInput` for an unknown name, with the nearest known names, or all if they are few.

    >>> print(unknown_name("voice", "lk", ["lj", "world"]))
    There is no voice named 'lk'; did you mean 'lj'? Known: lj, world.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    all_of_them = "" if near and len(names) > _MANY else f" Known: {', '.join(names) or 'none'}."
    return BadInput(f"There is no {kind} named {name!r}{hint}{all_of_them}")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means too little memory, of the machine or a GPU (by name, without importing torch)."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
