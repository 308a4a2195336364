"""Every option of every stage in one place, each default from the stage itself, and `stage.option=value` parsed."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from inspect import cleandoc
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from models.analysis.analyse import ListenSettings
from models.analysis.f0 import PitchSettings
from models.conversion import DEFAULT_VOICE
from models.conversion.settings import RevoiceSettings
from models.core.errors import BadInput, unknown_name
from models.generation import PlaySettings
from models.mixing.mastering import MasterSettings
from models.mixing.mixer import MixSettings
from models.separation.settings import PartingSettings, SplitSettings
from models.synthesis.soundfont import RenderSettings
from models.transcription.transcribe import ScoreSettings

Backing = Literal["generated", "transcribed", "original"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class StageSettings:
    """The options of each stage, named as the stages are."""

    separate: SplitSettings = field(default_factory=SplitSettings)
    part_voices: PartingSettings = field(default_factory=PartingSettings)
    listen: ListenSettings = field(default_factory=ListenSettings)
    follow_pitch: PitchSettings = field(default_factory=PitchSettings)
    transcribe: ScoreSettings = field(default_factory=ScoreSettings)
    accompany: PlaySettings = field(default_factory=PlaySettings)
    extend: PlaySettings = field(default_factory=PlaySettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    revoice: RevoiceSettings = field(default_factory=RevoiceSettings)
    mixdown: MixSettings = field(default_factory=MixSettings)
    master: MasterSettings = field(default_factory=MasterSettings)


DEFAULTS = StageSettings()


@dataclass(frozen=True)
class Choices:
    """Everything that can be chosen for a remix; what each means is said in `flows.remix.remix`."""

    voice: str = DEFAULT_VOICE
    seed: int = 0
    device: Device = "auto"
    backing: Backing = "generated"
    outro_bars: int = 8
    separator: str = "band-mask"
    splitter: str = "lead-backing"
    transformer: str = "small"
    settings: StageSettings = DEFAULTS
    backing_voice: str = "none"
    transpose_backing: bool = False


def with_options(settings: StageSettings, options: Iterable[str]) -> StageSettings:
    """Settings with each "stage.option=value" put in; raises `BadInput` naming what is wrong with one.

    >>> with_options(StageSettings(), ["separate.overlap=0.5"]).separate.overlap
    0.5
    """
    for option in options:
        path, equals, value = option.partition("=")
        if not equals:
            raise BadInput(f"--set wants stage.option=value, and {option!r} has no '='.")
        settings = _put(settings, path.strip().split("."), value.strip(), option)
    return settings


def _put(record: Any, path: list[str], value: str, option: str) -> Any:
    known = {f.name for f in fields(record)}
    if path[0] not in known:
        raise unknown_name("stage" if isinstance(record, StageSettings) else "option", path[0], known)
    current = getattr(record, path[0])
    if is_dataclass(current):
        if len(path) == 1:
            raise BadInput(
                f"{option!r} names a group of options; say which: {', '.join(f.name for f in fields(current))}."
            )
        return replace(record, **{path[0]: _put(current, path[1:], value, option)})
    if len(path) > 1:
        raise BadInput(f"{option!r}: {path[0]} is an option and has no {'.'.join(path[1:])}.")
    try:
        adapter = TypeAdapter(get_type_hints(type(record))[path[0]], config=ConfigDict(allow_inf_nan=False))
        try:
            parsed = adapter.validate_json(value)
        except ValidationError:
            parsed = adapter.validate_python(value)
        return replace(record, **{path[0]: parsed})
    except (ValidationError, ValueError, BadInput) as error:
        reason = f"{error.errors()[0]['msg']}." if isinstance(error, ValidationError) else str(error)
        raise BadInput(f"{option!r} cannot be set: {reason}") from None


@dataclass(frozen=True)
class Option:
    """An option of a stage: its `name` and `default` as `--set` takes them, and what is said `about` it."""

    name: str
    default: str
    about: str


def options(record: Any = DEFAULTS, path: str = "") -> Iterator[Option]:
    """Every option of every stage, in the order of the stages.

    >>> next(options()).name
    'separate.overlap'
    """
    for f in fields(record):
        value, name = getattr(record, f.name), f"{path}{f.name}"
        if is_dataclass(value):
            yield from options(value, f"{name}.")
        else:
            default = value if isinstance(value, str) else json.dumps(value)
            yield Option(name, default, _said_of(f.name, type(record)))


def _said_of(option: str, kind: type) -> str:
    """The first sentence that names an option in the docstring of its record, or of the one that this builds on."""
    for one in kind.__mro__:
        for sentence in re.split(r"(?<=\.)\s+", cleandoc(one.__doc__ or "")):
            if f"`{option}`" in sentence:
                return " ".join(sentence.split())
    return ""
