"""The fields of a model as options of a command."""

import json
import sys
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from flows.parameters import described, range_of, spread
from models.core.errors import BadInput
from models.core.malloc import keep_freed_memory

R = TypeVar("R")


def option(name: str, field: FieldInfo) -> Any:
    """The annotation of a command's option: flag, help with the unit, and range of a field; a list can be repeated.

    A field's `json_schema_extra` can name another `flag`; one without dashes makes it an argument.
    """
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    low, high = range_of(field)
    flag = str(extra.get("flag") or f"--{name.replace('_', '-')}")
    how: dict[str, Any] = {key: value for key, value in (("min", low), ("max", high)) if value is not None}
    kind: Any = field.annotation
    if kind == date | None:  # typer knows datetimes alone; pydantic makes a date of one
        kind, how["formats"] = datetime | None, ["%Y-%m-%d"]
    elif get_origin(kind) is dict:
        kind, how["parser"] = str, _json
    elif get_origin(kind) in (list, tuple):
        of = get_args(kind)[0]
        kind = list[str if get_origin(of) is Literal else of] | None  # type: ignore[misc]  # typer knows no lists of choices
    if "panel" in extra:
        how["rich_help_panel"] = str(extra["panel"])
    how["help"] = described(field)
    return Annotated[kind, typer.Option(flag, **how) if flag.startswith("-") else typer.Argument(**how)]


def _json(given: Any) -> Any:
    """A JSON text, read; typer passes defaults through a parser, too, and those are values already."""
    return json.loads(given) if isinstance(given, str) else given


def options_of(model: type[Any], *names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """`flows.parameters.spread` for a command: each field is an option."""
    return spread(model, *names, annotate=option)


def run(command: Callable[..., None]) -> None:
    """Run a module's command; ends with one sentence and exit code 2 where its input is wrong."""
    keep_freed_memory()
    try:
        typer.run(command)
    except BadInput as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
