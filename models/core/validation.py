"""Range checks of settings, called from `__post_init__`."""

from collections.abc import Iterator
from typing import Any

from models.core.errors import BadInput

MAX_SEED = 2**42
"""The largest seed: generators take 63 bits, and trainings use seed * 1,000,003 + step."""


def check_ranges(settings: Any, **ranges: tuple[float, float]) -> None:
    """Raise `BadInput` for a setting outside its range, both ends included; of a tuple each number is checked.

    >>> from types import SimpleNamespace
    >>> check_ranges(SimpleNamespace(release_s=0), release_s=(0.001, 10))
    Traceback (most recent call last):
    models.core.errors.BadInput: The setting release_s is 0; it must lie between 0.001 and 10.
    """
    for name, (low, high) in ranges.items():
        for number in _numbers(getattr(settings, name)):
            if not low <= number <= high:
                raise BadInput(f"The setting {name} is {number}; it must lie between {low:g} and {high:g}.")


def check_order(settings: Any, low: str, high: str) -> None:
    """Raise `BadInput` unless the setting named `low` lies below the one named `high`."""
    below, above = getattr(settings, low), getattr(settings, high)
    if not below < above:
        raise BadInput(f"The setting {low} is {below} and {high} is {above}; the first must lie below the second.")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    elif not isinstance(value, str):
        yield value
