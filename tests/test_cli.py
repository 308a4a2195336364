"""The command line as a user meets it: in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
        (["run", "README.md"], r"README\.md"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2_with_nothing_left(tmp_path, arguments, says):
    result = remix(*arguments, home=tmp_path / "home", cwd=Path(__file__).parent.parent)
    assert result.returncode == 2, result.stderr
    assert re.search(says, result.stderr)
    assert "Traceback" not in result.stderr + result.stdout
    assert not list((tmp_path / "home").rglob("blobs/*"))


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


def test_lists_are_json_where_a_program_reads_them(tmp_path):
    weights = json.loads(remix("weights", "list", "--json", home=tmp_path).stdout)
    assert {"separator", "vocal_splitter", "music_transformer"} <= {row["kind"] for row in weights}
    assert "lj" in {row["voice"] for row in json.loads(remix("voices", "list", "--json", home=tmp_path).stdout)}
    assert json.loads(remix("cache", "stats", "--json", home=tmp_path).stdout)["results"] == 0
    assert remix("weights", "verify", home=tmp_path).returncode == 0
    assert json.loads(remix("doctor", "--json", home=tmp_path).stdout)


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
