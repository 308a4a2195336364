"""The settings of every stage in one record, each default from its stage, and `stage.setting=value` parsed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from models.analysis.settings import AnalyseSettings, F0Settings
from models.conversion.settings import ConvertSettings
from models.core.errors import BadInput, unknown_name
from models.core.validation import range_of, unit_of
from models.generation import GenerateSettings
from models.mixing.settings import MasterSettings, MixSettings
from models.separation.settings import SeparateSettings, SplitVocalsSettings
from models.synthesis.settings import RenderSettings
from models.transcription.settings import TranscribeSettings


@dataclass(frozen=True)
class StageSettings:
    """The options of each stage, named as the stages are."""

    separate: SeparateSettings = field(default_factory=SeparateSettings)
    split_vocals: SplitVocalsSettings = field(default_factory=SplitVocalsSettings)
    analyse: AnalyseSettings = field(default_factory=AnalyseSettings)
    track_f0: F0Settings = field(default_factory=F0Settings)
    transcribe: TranscribeSettings = field(default_factory=TranscribeSettings)
    accompany: GenerateSettings = field(default_factory=GenerateSettings)
    extend: GenerateSettings = field(default_factory=GenerateSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    convert: ConvertSettings = field(default_factory=ConvertSettings)
    mix: MixSettings = field(default_factory=MixSettings)
    master: MasterSettings = field(default_factory=MasterSettings)


DEFAULTS = StageSettings()


RENAMED = {
    "part_voices": "split_vocals",
    "listen": "analyse",
    "follow_pitch": "track_f0",
    "revoice": "convert",
    "mixdown": "mix",
}
"""Stages by the names that earlier versions gave them."""


def with_settings(assignments: Iterable[str], settings: StageSettings = DEFAULTS) -> StageSettings:
    """Settings with each "stage.setting=value" put in; raises `BadInput` naming what is wrong with one.

    >>> with_settings(["separate.overlap=0.5"]).separate.overlap
    0.5
    """
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals:
            raise BadInput(f"--set wants stage.setting=value, and {assignment!r} has no '='.")
        settings = _put(settings, path.strip().split("."), value.strip(), assignment)
    return settings


def _put(record: Any, path: list[str], value: str, assignment: str) -> Any:
    known = {f.name for f in fields(record)}
    if path[0] not in known:
        of_stages = isinstance(record, StageSettings)
        if of_stages and path[0] in RENAMED:
            raise BadInput(f"The stage {path[0]!r} is called {RENAMED[path[0]]!r} now; set it by that name.")
        raise unknown_name("stage" if of_stages else "setting", path[0], known)
    current = getattr(record, path[0])
    if is_dataclass(current):
        if len(path) == 1:
            raise BadInput(
                f"{assignment!r} names a group of settings; say which: {', '.join(f.name for f in fields(current))}."
            )
        return replace(record, **{path[0]: _put(current, path[1:], value, assignment)})
    if len(path) > 1:
        raise BadInput(f"{assignment!r}: {path[0]} is a setting and has no {'.'.join(path[1:])}.")
    try:
        adapter = TypeAdapter(get_type_hints(type(record))[path[0]], config=ConfigDict(allow_inf_nan=False))
        try:
            parsed = adapter.validate_json(value)
        except ValidationError:
            parsed = adapter.validate_python(value)
        return replace(record, **{path[0]: parsed})
    except (ValidationError, ValueError, BadInput) as error:
        reason = f"{error.errors()[0]['msg']}." if isinstance(error, ValidationError) else str(error)
        raise BadInput(f"{assignment!r} cannot be set: {reason}") from None


@dataclass(frozen=True)
class Setting:
    """A setting of a stage: its `name` and `default` as `--set` takes them, what it does, its unit and its range."""

    name: str
    default: str
    about: str
    unit: str
    range: tuple[float, float] | None


def all_settings(record: Any = DEFAULTS, path: str = "") -> Iterator[Setting]:
    """Every setting of every stage, in the order of the stages.

    >>> next(all_settings()).name
    'separate.overlap'
    """
    for f in fields(record):
        value, name = getattr(record, f.name), f"{path}{f.name}"
        if is_dataclass(value):
            yield from all_settings(value, f"{name}.")
        else:
            default = value if isinstance(value, str) else json.dumps(value)
            yield Setting(name, default, f.metadata.get("about", ""), unit_of(f), range_of(f))
