"""Settings that say what they are: a sentence, a unit and a range for each field, checked when a record is made."""

from collections.abc import Iterator
from dataclasses import Field, field, fields
from typing import Any

from models.core.errors import BadInput

MAX_SEED = 2**42
"""The largest seed: generators take 63 bits, and trainings use seed * 1,000,003 + step."""

UNITS = {"s": "s", "db": "dB", "hz": "Hz", "bpm": "bpm", "lufs": "LUFS", "dbtp": "dBTP", "dbfs": "dBFS"}
"""The unit that the end of a setting's name stands for."""


def setting(default: Any, about: str, low: float | None = None, high: float | None = None, unit: str = "") -> Any:
    """A field of a settings dataclass: what it does in a sentence, its range (both ends included) and its unit.

    `default` is MISSING where there is none. The unit is needed only where the name does not end in one ("_s", "_db").
    """
    return field(default=default, metadata={"about": about, "range": (low, high), "unit": unit})


def unit_of(one: "Field[Any]") -> str:
    """The unit of a setting, or "" for a number without one."""
    return str(one.metadata.get("unit") or UNITS.get(one.name.rpartition("_")[2], ""))


def range_of(one: "Field[Any]") -> tuple[float, float] | None:
    """The least and the greatest value of a setting, or None where there is no such."""
    low, high = one.metadata.get("range", (None, None))
    return None if low is None or high is None else (low, high)


def check_settings(settings: Any) -> None:
    """Raise `BadInput` for a setting outside its range; of a tuple each number is checked. Called by `__post_init__`.

    >>> from models.mixing.settings import MasterSettings
    >>> MasterSettings(release_s=0)
    Traceback (most recent call last):
    models.core.errors.BadInput: The setting release_s is 0; it must lie between 0.001 and 10.
    """
    for one in fields(settings):
        if (limits := range_of(one)) is None:
            continue
        for number in _numbers(getattr(settings, one.name)):
            if not limits[0] <= number <= limits[1]:
                raise BadInput(
                    f"The setting {one.name} is {number}; it must lie between {limits[0]:g} and {limits[1]:g}."
                )


def check_order(settings: Any, low: str, high: str) -> None:
    """Raise `BadInput` unless the setting named `low` lies below the one named `high`."""
    below, above = getattr(settings, low), getattr(settings, high)
    if not below < above:
        raise BadInput(f"The setting {low} is {below} and {high} is {above}; the first must lie below the second.")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    elif value is not None and not isinstance(value, str):
        yield value
