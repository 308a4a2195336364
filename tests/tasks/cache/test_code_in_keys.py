"""The code in a stage's key is the code that it executes: all of it, and nothing else."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks import stages as all_stages
from tasks.cache import caching
from tasks.cache.fingerprint import ROOT, reachable
from tests.conftest import Example

pytestmark = pytest.mark.weights

WATCHED_STAGE = """
import json, pickle, sys
from pathlib import Path
import tasks.cache.caching, tasks.engine.networks

ours = lambda: {name for name in sys.modules if name.split(".")[0] in ("models", "tasks", "flows")}
root = Path(tasks.__file__).resolve().parent.parent
before, read = ours(), set()

def opened(event, arguments):
    if event == "open" and isinstance(arguments[0], str | Path):
        path = Path(arguments[0]).absolute()
        if path.is_relative_to(root) and path.suffix not in (".py", ".pyc") and path.parts[len(root.parts)] == "models":
            read.add(str(path.relative_to(root)))

sys.addaudithook(opened)
module, name = sys.argv[1:3]
stage = getattr(__import__(module, fromlist=[name]), name)
stage.fn(**pickle.load(open(sys.argv[3], "rb")))
print(json.dumps({"before": sorted(before), "loaded": sorted(ours() - before), "read": sorted(read)}))
"""

STAGES = sorted(name for name in all_stages.__all__)


def executed(stage: str, inputs: dict[str, Any], store: Path, scratch: Path) -> dict[str, set[str]]:
    """What a stage loads and reads of ours between its start and its end, in a process of its own."""
    (scratch / "inputs").write_bytes(pickle.dumps(inputs))
    module = caching.STAGES[stage].fn.__module__
    ran = subprocess.run(
        [sys.executable, "-c", WATCHED_STAGE, module, stage, str(scratch / "inputs")],
        env=os.environ | {"REMIX_HOME": str(store)}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return {name: set(value) for name, value in json.loads(ran.stdout.splitlines()[-1]).items()}


def in_key(stage: str, inputs: dict[str, Any]) -> set[str]:
    of = caching.STAGES[stage]
    return set(reachable(of.fn.__module__, *of.loads(**inputs)))


def calls(example: Example) -> dict[str, dict[str, Any]]:
    """A call of every stage: the remix's, and of the two that it has no use for."""
    take = (example.inputs["mix"]["band"].takes[0],)
    mixing = {name: example.inputs["mix"][name] for name in ("settings", "mastering")}
    return example.inputs | {
        "transpose": {"audio": example.inputs["analyse"]["bass"], "semitones": 1},
        "mix_takes": {"voices": take, "backing": take, **mixing},
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_key_holds_the_code_that_its_stage_executes_and_no_other(example: Example, tmp_path: Path, stage: str):
    inputs = calls(example)[stage]
    keyed, ran = in_key(stage, inputs), executed(stage, inputs, example.store, tmp_path)
    machinery = {name for name in ran["loaded"] if name.startswith("tasks") and name not in keyed}
    assert ran["loaded"] - machinery | ran["read"] <= keyed
    assert keyed <= ran["before"] | ran["loaded"] | ran["read"]


@pytest.mark.parametrize("voice", ["world", "knn"])
def test_a_key_holds_the_engine_of_the_voice_that_sings(example: Example, tmp_path: Path, voice: str):
    inputs = example.inputs["convert"] | {"voice": voice}
    keyed, ran = in_key("convert", inputs), executed("convert", inputs, example.store, tmp_path)
    assert {n for n in ran["loaded"] if n.startswith("models")} <= keyed <= ran["before"] | ran["loaded"]
    assert keyed != in_key("convert", example.inputs["convert"])
