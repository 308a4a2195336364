"""Command lines of the trainings, made from the fields of their options."""

import json
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

from flows.parameters import checked


@dataclass(frozen=True)
class _Option:
    """An option of the command line; `flag` has no dashes where it is positional."""

    name: str
    flag: str
    type: Any
    required: bool
    help: str = ""


def parsed(description: str | None, *records: type[Any], argv: Sequence[str] | None = None) -> list[Any]:
    """A record of each type, pydantic model or dataclass, from the command line; each field is an option.

    A field's `json_schema_extra` can name another `flag`. Fields that are dataclasses themselves keep their defaults.
    Raises `BadInput` for a value that a model refuses.

    >>> class Options(BaseModel):
    ...     work: str
    ...     steps: int = 4000
    >>> parsed("Train.", Options, argv=["--work", "w", "--steps", "5"])
    [Options(work='w', steps=5)]
    """
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    options = [_options(record) for record in records]
    for option in (one for group in options for one in group):
        _add(parser, option)
    given = vars(parser.parse_args(argv))
    return [
        _record(record, {one.name: given[one.name] for one in group if one.name in given})
        for record, group in zip(records, options, strict=True)
    ]


def _record(record: type[Any], values: dict[str, Any]) -> Any:
    return checked(record, **values) if issubclass(record, BaseModel) else TypeAdapter(record).validate_python(values)


def _options(record: type[Any]) -> list[_Option]:
    if issubclass(record, BaseModel):
        options = []
        for name, field in record.model_fields.items():
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            flag = str(extra.get("flag", _flag(name)))
            options.append(_Option(name, flag, field.annotation, field.is_required(), field.description or ""))
        return options
    return [
        _Option(one.name, _flag(one.name), one.type, one.default is MISSING)
        for one in fields(record)
        if not is_dataclass(one.type)
    ]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add(parser: ArgumentParser, option: _Option) -> None:
    """Values stay text where the record converts them."""
    named = option.flag.startswith("-")
    how: dict[str, Any] = {"help": option.help.replace("%", "%%"), "default": SUPPRESS}
    if named:
        how |= {"dest": option.name, "required": option.required}
    origin = get_origin(option.type) or option.type
    if origin is bool:
        how["action"] = "store_true"
    elif origin is dict:
        how["type"] = json.loads
    elif origin in (list, tuple):
        how |= {"action": "extend", "nargs": "+"}
    elif origin is Literal:
        how["choices"] = get_args(option.type)
    parser.add_argument(option.flag if named else option.name, **how)
