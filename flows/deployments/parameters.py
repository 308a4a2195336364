"""A record as parameters: a function that takes a record shows each of its fields as a parameter of its own.

So what a form in the UI and several commands offer is written once, with its words and defaults, as a dataclass.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, cleandoc, signature
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")

_ARGS = "Args:\n"


def spread(body: Callable[..., R]) -> Callable[..., R]:
    """The function with one parameter for each field of the record it takes, in that record's place.

    Where both have a docstring with "Args:", the record's lines are put after the function's.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Tone:
    ...     pitch: int = 69
    ...     seconds: float = 1.0
    >>> @spread
    ... def play(name: str, tone: Tone, loud: bool = False) -> str:
    ...     return f"{name} {tone.pitch} {tone.seconds} {loud}"
    >>> play("a", 70, loud=True)
    'a 70 1.0 True'
    >>> str(signature(play))
    '(name: str, pitch: int = 69, seconds: float = 1.0, loud: bool = False) -> str'
    """
    hints = get_type_hints(body, include_extras=True)
    taken, record = next((name, hint) for name, hint in hints.items() if is_dataclass(hint) and name != "return")
    typed = get_type_hints(record, include_extras=True)
    spread_out = [
        Parameter(f.name, Parameter.POSITIONAL_OR_KEYWORD, default=_default(f), annotation=typed[f.name])
        for f in fields(record)
    ]
    shown: list[Parameter] = []
    for name, parameter in signature(body).parameters.items():
        shown += spread_out if name == taken else [parameter.replace(annotation=hints.get(name, Any))]
    looks = signature(body).replace(parameters=shown)

    @wraps(body)
    def run(*args: Any, **kwargs: Any) -> R:
        bound = looks.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        whole: Any = record
        given[taken] = whole(**{one.name: given.pop(one.name) for one in spread_out})
        return body(**given)

    run.__signature__ = looks  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in shown} | {"return": hints.get("return", Any)}
    run.__doc__ = _documented(body.__doc__ or "", record.__doc__ or "")
    return run


def _default(of: "Field[Any]") -> Any:
    if of.default_factory is not MISSING:
        return of.default_factory()
    return Parameter.empty if of.default is MISSING else of.default


def _documented(body: str, record: str) -> str:
    body, words = cleandoc(body), cleandoc(record)
    if _ARGS not in body or _ARGS not in words:
        return body
    return f"{body}\n{words.partition(_ARGS)[2]}"
