"""prefect.yaml's deployments: each has a form for people, and none of its parameters can be a path or a URL."""

import inspect
import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
import yaml
from prefect.utilities.callables import parameter_schema

from flows.deployments.remix import marker_of
from flows.options import RemixOptions
from flows.parameters import described, range_of
from flows.service.deployments import POOLS, ROOT
from models.core.errors import BadInput

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def the_flow(deployment: dict[str, Any]) -> Any:
    module, _, name = deployment["entrypoint"].rpartition(".")
    return getattr(import_module(module), name)


def test_there_are_the_deployments_an_operator_wants():
    names = {deployment["name"] for deployment in DEPLOYMENTS}
    trainings = {"train-voice", "train-music-transformer", "train-separator"}
    assert names >= {"remix", "batch-remix", "evaluate", "collect-cache"} | trainings
    assert {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS} == set(POOLS)
    nightly = next(d for d in DEPLOYMENTS if d["name"] == "collect-cache")
    assert nightly["schedules"][0]["timezone"]
    assert nightly["concurrency_limit"]["limit"] == 1


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_each_parameter_has_words_and_where_it_is_a_name_its_form(deployment):
    chosen = the_flow(deployment)
    assert chosen.description
    schema = parameter_schema(chosen).model_dump()
    assert "Path" not in str(schema.get("definitions", {}))
    for name, field in schema["properties"].items():
        assert len(field.get("description", "")) > 15, name
        assert field.get("format") != "path", name
        if field.get("type") == "string":
            assert field.get("enum") or field.get("pattern") or name == "soundfont", name
        if field.get("type") in ("integer", "number"):
            assert "minimum" in field, name


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "http://x/y", "weights/separator/x.safetensors", "own.th"])
def test_names_are_of_what_is_installed(name):
    for option in ("voice", "backing_voice", "separator", "splitter", "transformer", "soundfont"):
        with pytest.raises(BadInput, match="There is no"):
            RemixOptions(**{option: name}).check_registered()
    with pytest.raises(BadInput, match="by its name in the folder soundfonts"):
        RemixOptions(settings=[f"render.soundfont={name}"]).check_registered()


def test_every_option_of_a_remix_is_in_the_forms_and_in_the_commands(home):
    from flows.cli.batches import add
    from flows.cli.run import run
    from flows.cli.submit import submit
    from flows.remix import remix

    options = set(RemixOptions.model_fields)
    for name in ("remix", "batch-remix"):
        deployment = next(d for d in DEPLOYMENTS if d["name"] == name)
        assert options <= set(parameter_schema(the_flow(deployment)).properties)
    for function in (run, submit, add, remix.fn):
        assert options <= set(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", RemixOptions.model_fields)
def test_a_form_shows_an_options_words_range_and_choices_as_they_are_written_once(name):
    field = RemixOptions.model_fields[name]
    deployment = next(d for d in DEPLOYMENTS if d["name"] == "remix")
    shown = parameter_schema(the_flow(deployment)).model_dump()["properties"][name]
    assert shown["description"].split() == described(field).split()
    assert shown["default"] == field.get_default(call_default_factory=True)
    low, high = range_of(field)
    if low is not None:
        limits = shown if "minimum" in shown else shown["anyOf"][0]
        assert (limits["minimum"], limits["maximum"]) == (low, high)


def test_a_remix_is_known_by_its_sound_and_choices_and_not_by_its_device(home):
    one = marker_of("a" * 64, RemixOptions(voice="world"))
    assert one == marker_of("a" * 64, RemixOptions(voice="world", device="cuda"))
    assert one != marker_of("b" * 64, RemixOptions(voice="world"))
    assert one != marker_of("a" * 64, RemixOptions(voice="world", seed=1))


def test_secrets_come_from_files_and_a_missing_one_is_said(tmp_path, monkeypatch):
    from flows.service.deployments import secrets_from_files

    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://remix:{password}@database/remix")
    (tmp_path / "auth").write_text("remix:word\n")
    (tmp_path / "database").write_text("secret\n")
    monkeypatch.setenv("REMIX_AUTH_FILE", str(tmp_path / "auth"))
    monkeypatch.setenv("REMIX_DATABASE_PASSWORD_FILE", str(tmp_path / "database"))
    secrets_from_files()
    assert os.environ["PREFECT_SERVER_API_AUTH_STRING"] == os.environ["PREFECT_API_AUTH_STRING"] == "remix:word"
    assert os.environ["PREFECT_API_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://remix:secret@")
    monkeypatch.setenv("REMIX_AUTH_FILE", str(tmp_path / "none"))
    with pytest.raises(BadInput, match="cannot be read"):
        secrets_from_files()


def test_nothing_is_reported_to_anybody_unless_an_operator_says_so():
    program = "import tasks, os; from prefect.settings import get_current_settings as s; "
    program += "print(os.environ['DO_NOT_TRACK'], s().server.analytics_enabled)"
    left = {k: v for k, v in os.environ.items() if k not in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED")}
    done = subprocess.run([sys.executable, "-c", program], env=left, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "False"], done.stderr
