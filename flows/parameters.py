"""A record as parameters: a function that takes a pydantic model shows each of its fields as a parameter of its own.

So what a form in the UI, a flow and several commands offer is written once, as the fields of a model.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, cleandoc, signature
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from models.core.errors import BadInput

R = TypeVar("R")
M = TypeVar("M")
Annotate = Callable[[str, FieldInfo], Any]
"""Makes a parameter's annotation of a field's name and description."""


def checked(model: type[M], **values: Any) -> M:
    """The record of these values; raises `BadInput` with a sentence that names the field and its range.

    A dataclass checks itself.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise BadInput(" ".join(_sentence(model, one) for one in error.errors())) from None


def _sentence(model: type[Any], error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    field = fields_of(model).get(name)
    low, high = range_of(field) if field else (None, None)
    if field and error["type"] in ("greater_than_equal", "less_than_equal") and None not in (low, high):
        return f"The option {name} is {error['input']}; it must lie between {low:g} and {high:g}."
    return f"The option {name} is {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}."


def range_of(field: FieldInfo) -> tuple[Any, Any]:
    """The least and the greatest value of a field, or None where there is no such."""
    limits = {name: getattr(one, name) for one in field.metadata for name in ("ge", "le", "gt") if hasattr(one, name)}
    return limits.get("ge", limits.get("gt")), limits.get("le")


class FormName:
    """An annotation of a text: on the command line it may be a path; in a form only what is registered under a name."""

    def in_form(self) -> Any:
        """What a form adds to the field."""
        return Field(pattern="^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$")


@dataclass(frozen=True)
class Registered(FormName):
    """The field names something that is registered; `names()` gives what is, for a form's choices."""

    names: Callable[[], list[str]]

    def in_form(self) -> Any:
        return Field(json_schema_extra={"enum": list(self.names())})


def plain(name: str, field: FieldInfo) -> Any:
    """The annotation of a parameter of a flow: the field's type, its range, and in forms what can be chosen."""
    made: Any = field.annotation
    for one in field.metadata:
        made = Annotated[made, one.in_form() if isinstance(one, FormName) else one]
    return made


def fields_of(model: type[Any]) -> dict[str, FieldInfo]:
    """The fields of a pydantic model or of a dataclass; of the latter those that are no records themselves."""
    if issubclass(model, BaseModel):
        return model.model_fields
    hints = get_type_hints(model)
    return {
        one.name: FieldInfo.from_annotated_attribute(hints[one.name], one.default)
        for one in fields(model)
        if not is_dataclass(hints[one.name])
    }


def spread(model: type[Any], *names: str, annotate: Annotate = plain) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Show the fields of a model or a dataclass (all, or those named) in the place of the parameter that takes it.

    Both docstrings' lines below "Args:" are joined: the model's are its fields' descriptions.

    >>> class Tone(BaseModel):
    ...     pitch: int = Field(69, ge=0, le=127)
    ...     seconds: float = 1.0
    >>> @spread(Tone)
    ... def play(name: str, tone: Tone, loud: bool = False) -> str:
    ...     return f"{name} {tone.pitch} {tone.seconds} {loud}"
    >>> play("a", 70, loud=True)
    'a 70 1.0 True'
    >>> list(signature(play).parameters)
    ['name', 'pitch', 'seconds', 'loud']
    >>> play("a", 200)
    Traceback (most recent call last):
    models.core.errors.BadInput: The option pitch is 200; it must lie between 0 and 127.
    """
    every = fields_of(model)
    shown = {name: every[name] for name in names or every}
    return lambda body: _spread(model, shown, annotate, body)


def _spread(
    model: type[Any], shown: dict[str, FieldInfo], annotate: Annotate, body: Callable[..., R]
) -> Callable[..., R]:
    hints = get_type_hints(body, include_extras=True)
    taken = next(name for name, hint in hints.items() if hint is model and name != "return")
    parameters: list[Parameter] = []
    for name, parameter in signature(body).parameters.items():
        own = [parameter.replace(annotation=hints.get(name, Any))]
        parameters += [_parameter(n, f, annotate) for n, f in shown.items()] if name == taken else own
    parameters.sort(key=lambda one: one.default is not Parameter.empty)  # as Python wants them
    looks = signature(body).replace(parameters=parameters)

    @wraps(body)
    def run(*args: Any, **kwargs: Any) -> R:
        bound = looks.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        values = {name: given.pop(name) for name in shown}
        given[taken] = checked(model, **{name: _listed(shown[name], value) for name, value in values.items()})
        return body(**given)

    run.__signature__ = looks  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": hints.get("return", Any)}
    run.spread_names = tuple(shown)  # type: ignore[attr-defined]
    if annotate is plain:  # a command says it beside each option
        run.__doc__ = _documented(cleandoc(body.__doc__ or ""), shown)
    return run


def spread_names(function: Any) -> tuple[str, ...]:
    """The names of the parameters that `spread` gave a function, in order."""
    return tuple(function.spread_names)


def _parameter(name: str, field: FieldInfo, annotate: Annotate) -> Parameter:
    default = Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotate(name, field))


def _listed(field: FieldInfo, value: Any) -> Any:
    """A command line gives None where a list was not given."""
    return field.get_default(call_default_factory=True) if value is None else value


def _documented(body: str, shown: dict[str, FieldInfo]) -> str:
    lines = [f"    {name}: {described(field)}" for name, field in shown.items()]
    head = body if "Args:\n" in body else f"{body}\n\nArgs:"
    return "\n".join([head.rstrip(), *lines])


def described(field: FieldInfo) -> str:
    """A field's description with its unit."""
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    return f"{field.description} In {unit}." if unit else field.description or ""
