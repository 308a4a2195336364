"""The command line as a user meets it: in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from inspect import signature
from pathlib import Path

import pytest
from rich.console import Console

from models.core.errors import BadInput
from models.core.registry import Weights
from tasks.cache.fingerprint import ROOT

REMIX = [sys.executable, "-c", "from flows.cli import main; main()"]

NO_SERVER = "http://127.0.0.1:9/api"
"""Named so that commands which never come to a flow start none of their own."""


def remix(*arguments: str, home: Path, server: str = NO_SERVER, **more) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"REMIX_HOME": str(home), "COLUMNS": "120", "PREFECT_API_URL": server}
    return subprocess.run([*REMIX, *arguments], env=environment, capture_output=True, text=True, timeout=600, **more)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "missing.mp3"], r"missing\.mp3"),
        (["run", "."], r"folder|directory"),
        (["run", "README.md", "--voice", "lk"], "lj"),
        (["run", "README.md", "--set", "separate.overlop=1"], "overlap"),
        (["run", "README.md", "--backing", "loud"], "original"),
        (["run"], "Missing argument"),
        (["run", "README.md", "--separator", "band-musk"], "band-mask"),
        (["run", "README.md", "--splitter", "lead-bucking"], "lead-backing"),
        (["run", "README.md", "--transformer", "smell"], "small"),
        (["run", "README.md", "--seed", "-1"], "--seed"),
        (["run", "README.md", "--set", "master.release_s=0"], "0.001"),
        (["run", "README.md"], r"README\.md"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2_with_nothing_left(tmp_path, arguments, says):
    result = remix(*arguments, home=tmp_path / "home", cwd=ROOT)
    assert result.returncode == 2, result.stderr
    assert re.search(says, result.stderr)
    assert "Traceback" not in result.stderr + result.stdout
    assert not list((tmp_path / "home").rglob("blobs/*"))


def test_where_nothing_can_be_kept_is_said_in_one_sentence(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for arguments in (["demo"], ["cache", "stats"], ["batch", "list"]):
        result = remix(*arguments, home=file / "home")
        assert result.returncode == 2
        assert result.stderr == f"{file}/home (REMIX_HOME) cannot be written: Not a directory.\n"
    assert remix("--help", home=file / "home").returncode == 0
    assert "cannot be written" in remix("doctor", home=file).stdout


def test_without_a_server_it_is_said_in_one_sentence_where_it_was_looked_for(tmp_path):
    result = remix("runs", home=tmp_path / "home")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"No Prefect server answers at {NO_SERVER}" in result.stderr


def test_bad_input_to_a_stage_alone_is_one_sentence_too(tmp_path, prefect_server):
    from prefect.settings import get_current_settings

    server = str(get_current_settings().api.url)
    result = remix("extend", str(Path(__file__)), home=tmp_path / "home", server=server)
    assert result.returncode == 2, result.stderr
    assert "test_cli.py" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_every_command_that_remixes_offers_what_the_flow_does():
    from flows.cli.run import demo, run
    from flows.cli.submit import submit
    from flows.remix import remix as flow

    of_the_flow = set(signature(flow.fn).parameters) - {"song"}
    of_the_command = {"songs", "as_json", "gpu", "follow"}
    for command, own in ((run, set()), (demo, set()), (submit, {"out"})):
        offered = set(signature(command).parameters)
        assert offered - of_the_command == of_the_flow - own, command.__name__


def test_the_example_song_is_made_anew_when_its_code_has_changed(tmp_path, monkeypatch):
    from flows.cli.run import _example

    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    first = _example()
    first.write_bytes(b"kept")
    assert _example().read_bytes() == b"kept"
    monkeypatch.setattr("tasks.cache.fingerprint.code_digest", lambda *modules: "another")
    assert _example() != first
    assert _example().name == first.name == "example song.wav"
    assert _example().stat().st_size > 1e6


def test_lists_are_json_where_a_program_reads_them(tmp_path):
    weights = json.loads(remix("weights", "list", "--json", home=tmp_path).stdout)
    assert {"separator", "vocal_splitter", "music_transformer"} <= {row["kind"] for row in weights}
    assert "lj" in {row["voice"] for row in json.loads(remix("voices", "list", "--json", home=tmp_path).stdout)}
    assert json.loads(remix("cache", "stats", "--json", home=tmp_path).stdout)["results"] == 0
    named = json.loads(remix("settings", "master", "--json", home=tmp_path).stdout)
    assert {"name", "default", "about", "unit", "range"} == set(named[0])
    assert "master.target_lufs" in {option["name"] for option in named}
    assert remix("weights", "verify", home=tmp_path).returncode == 0
    assert json.loads(remix("cache", "verify", "--json", home=tmp_path).stdout) == []
    assert json.loads(remix("cache", "gc", "--json", home=tmp_path).stdout)[0]["results"] == 0
    assert json.loads(remix("doctor", "--json", home=tmp_path).stdout)


def test_networks_read_well_in_80_columns(tmp_path, monkeypatch, capsys):
    from flows.cli import maintenance

    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    monkeypatch.setattr(maintenance, "console", Console(width=80))
    maintenance.weights_list()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    quality = [line for line in lines if line.startswith("    ")]
    assert sum(len(line.strip()) > 50 for line in quality) > 0.5 * len(quality)
    assert "htdemucs_ft: separator, can be fetched, 336.1 MB, MIT by its publisher's page" in lines
    assert "band-mask: separator, shipped, 8.8 MB, MIT" in lines


def test_a_bag_of_networks_is_fetched_by_its_parts_and_here_when_they_are(tmp_path, monkeypatch, capsys):
    from flows.cli import maintenance
    from models.separation.checkpoints import to_fetch

    def fetched(weights: Weights, watch: object) -> Path:
        weights.path.parent.mkdir(parents=True, exist_ok=True)
        weights.path.write_bytes(b"")
        return weights.path

    def here() -> str:
        maintenance.weights_list(as_json=True)
        return next(row["here"] for row in json.loads(capsys.readouterr().out) if row["name"] == "htdemucs_ft")

    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    monkeypatch.setattr("models.core.download.download", fetched)
    assert here() == "can be fetched"
    maintenance.weights_fetch("htdemucs_ft", as_json=True)
    assert json.loads(capsys.readouterr().out) == [str(part.path) for part in to_fetch("htdemucs_ft")]
    assert here() == "fetched"
    with pytest.raises(BadInput, match="no weights file to fetch named 'band-mask'"):
        maintenance.weights_fetch("band-mask")


def test_a_damaged_result_is_named_and_exits_as_damaged_weights_do(monkeypatch, capsys):
    from flows.cli import maintenance

    monkeypatch.setattr("tasks.cache.collecting.damaged", lambda: ("render-1",))
    with pytest.raises(BadInput, match="1 of the kept results"):
        maintenance.cache_verify()
    assert "render-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("started", "typed"),
    [("{here}/.venv/bin/remix", ".venv/bin/remix"), ("/elsewhere/remix", "/elsewhere/remix"), ("-c", "remix")],
)
def test_commands_are_shown_as_they_can_be_typed(monkeypatch, started, typed):
    from flows.cli.serve import typed_command

    monkeypatch.setattr(sys, "argv", [started.format(here=Path.cwd())])
    assert typed_command() == typed


@pytest.mark.weights
def test_ctrl_c_ends_the_process_soon_and_what_was_finished_is_kept(tmp_path):
    home = tmp_path / "home"
    demo = ["demo", "--out", str(tmp_path / "out"), "--voice", "none", "--backing", "original", "--outro-bars", "0"]
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"} | {"REMIX_HOME": str(home)}
    with subprocess.Popen([*REMIX, *demo], env=environment, stderr=subprocess.DEVNULL) as process:
        while not list((home / "results").glob("separate-*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert process.wait(60) == 130
        assert time.monotonic() - started < 5 + 5  # a busy machine is forgiven
    done = subprocess.run([*REMIX, *demo, "--json"], env=environment, capture_output=True, text=True, timeout=600)
    (made,) = json.loads(done.stdout)["remixes"]
    assert {stage["name"]: stage["reused"] for stage in made["stages"]}["separate"]
    assert not all(stage["reused"] for stage in made["stages"]), "it was stopped in the middle"
