"""The fields of models and dataclasses as options of commands, the trainings' among them."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from flows.command_options import options_of
from models.core.errors import BadInput
from tasks.cache.fingerprint import ROOT


class Choices(BaseModel):
    name: str = Field(description="A name.", json_schema_extra={"flag": "name"})
    fonts: list[Path] = Field([], description="Files.", json_schema_extra={"flag": "--font"})
    kinds: tuple[Literal["a", "b"], ...] = Field(("a",), description="Kinds.")
    recipe: dict[str, Any] = Field({}, description="JSON.")
    bars: int = Field(8, ge=1, le=64, description="How many.", json_schema_extra={"unit": "bars"})


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Recipe:
    steps: int = 10
    rate: float = 0.5
    inner: Inner = field(default_factory=Inner)


def given(*words: str) -> list[Any]:
    seen: list[Any] = []
    app = typer.Typer()

    @app.command()
    @options_of(Choices)
    @options_of(Recipe)
    def command(choices: Choices, recipe: Recipe) -> None:
        seen.extend((choices, recipe))

    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen


def test_lists_json_arguments_and_dataclasses_are_read():
    choices, recipe = given(
        *("ada", "--font", "x.sf2", "--font", "y.sf2", "--kinds", "b", "--recipe", '{"warmup": 20}', "--steps", "3")
    )
    assert choices == Choices(name="ada", fonts=["x.sf2", "y.sf2"], kinds=("b",), recipe={"warmup": 20})
    assert recipe == Recipe(steps=3)


def test_what_is_not_given_is_the_default():
    assert given("ada") == [Choices(name="ada"), Recipe()]


def test_a_value_that_is_none_of_the_choices_is_a_sentence():
    with pytest.raises(BadInput, match="kinds"):
        given("ada", "--kinds", "c")


@pytest.mark.parametrize("training", ["beat_tracker", "content_encoder", "music_transformer", "separator", "voice"])
def test_every_training_is_a_command(training):
    command = [sys.executable, "-m", f"flows.training.{training}", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "--work" in shown.stdout
