"""The fields of a model as options of a command."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.parameters import described, range_of, spread

R = TypeVar("R")


def _option(flags: list[str], **more: Any) -> Any:
    return typer.Option(*flags, **more)


def option(name: str, field: FieldInfo) -> Any:
    """The annotation of a command's option: flag, help with the unit, and range of a field."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    low, high = range_of(field)
    flags = [str(extra.get("flag") or f"--{name.replace('_', '-')}")]
    limits: dict[str, Any] = {key: value for key, value in (("min", low), ("max", high)) if value is not None}
    kind: Any = field.annotation
    if kind == date | None:  # typer knows datetimes alone; pydantic makes a date of one
        kind, limits["formats"] = datetime | None, ["%Y-%m-%d"]
    if field.annotation == list[str]:
        kind = list[str] | None
    panel: dict[str, Any] = {"rich_help_panel": str(extra["panel"])} if "panel" in extra else {}
    return Annotated[kind, _option(flags, help=described(field), **limits, **panel)]


def options_of(model: type[BaseModel], *names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """`flows.parameters.spread` for a command: each field is an option."""
    return spread(model, *names, annotate=option)
