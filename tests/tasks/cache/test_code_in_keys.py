"""The code in a stage's key is the code that it executes: all of it, and nothing else."""

import json
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest

from tasks.cache import caching
from tasks.cache.fingerprint import ROOT, reachable
from tasks.stages import registry as all_stages
from tests.conftest import Example

pytestmark = pytest.mark.weights

WATCHED_STAGES = """
import json, os, pickle, sys
from pathlib import Path

# What is not ours is loaded once; each stage then gets a process in which none of our computing modules is loaded yet.
import librosa, mir_eval, onnxruntime, pretty_midi, pyworld, resemblyzer
import scipy.signal, soxr, tinysoundfont, torch, transformers
import tasks.cache.caching, tasks.engine.networks

root = Path(tasks.__file__).resolve().parent.parent
ours = lambda: {name for name in sys.modules if name.split(".")[0] in ("models", "tasks", "flows")}
before = ours()

def watched(module, name, inputs):
    read = set()

    def opened(event, arguments):
        if event == "open" and isinstance(arguments[0], str | Path):
            path = Path(arguments[0]).absolute()
            if path.is_relative_to(root / "models") and path.suffix not in (".py", ".pyc"):
                read.add(str(path.relative_to(root)))

    sys.addaudithook(opened)
    stage = getattr(__import__(module, fromlist=[name]), name)
    stage.fn(**pickle.loads(inputs))
    return {"before": sorted(before), "loaded": sorted(ours() - before), "read": sorted(read)}

for call, (module, name, inputs) in pickle.load(open(sys.argv[1], "rb")).items():
    child = os.fork()
    if not child:
        print(json.dumps([call, watched(module, name, inputs)]), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{call} failed")
"""

STAGES = sorted(all_stages.__all__)
ENGINES = ("world", "knn")


def calls(example: Example) -> dict[str, tuple[str, dict[str, Any]]]:
    """A call of every stage, and of `convert` with every engine: the remix's, and of the stages it has no use for."""
    take = (example.inputs["mix"]["band"].takes[0],)
    mixing = {name: example.inputs["mix"][name] for name in ("settings", "mastering")}
    inputs = example.inputs | {
        "transpose": {"audio": example.inputs["analyse"]["bass"], "semitones": 1},
        "mix_takes": {"voices": take, "backing": take, **mixing},
    }
    made = {stage: (stage, inputs[stage]) for stage in STAGES}
    return made | {engine: ("convert", inputs["convert"] | {"voice": engine}) for engine in ENGINES}


@pytest.fixture(scope="module")
def executed(example: Example, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """What each call loads and reads of ours between its start and its end, in a process of its own."""
    orders = {
        call: (caching.STAGES[stage].fn.__module__, stage, pickle.dumps(inputs))
        for call, (stage, inputs) in calls(example).items()
    }
    path = tmp_path_factory.mktemp("calls") / "orders"
    path.write_bytes(pickle.dumps(orders))
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WATCHED_STAGES, str(path)],
        env=os.environ | {"REMIX_HOME": str(example.store), "OMP_NUM_THREADS": "1"},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    rows = dict(json.loads(line) for line in ran.stdout.splitlines() if line.startswith('["'))
    return {call: {name: set(value) for name, value in row.items()} for call, row in rows.items()}


def in_key(stage: str, inputs: dict[str, Any]) -> set[str]:
    of = caching.STAGES[stage]
    return set(reachable(of.fn.__module__, *of.loads(**inputs)))


@pytest.mark.parametrize("call", [*STAGES, *ENGINES])
def test_a_key_holds_the_code_that_its_stage_executes_and_no_other(example: Example, executed, call: str):
    stage, inputs = calls(example)[call]
    keyed, ran = in_key(stage, inputs), executed[call]
    machinery = {name for name in ran["loaded"] if name.startswith("tasks") and name not in keyed}
    assert (ran["loaded"] - machinery) | ran["read"] <= keyed
    assert keyed <= ran["before"] | ran["loaded"] | ran["read"]


def test_another_engine_is_other_code(example: Example):
    keys = [frozenset(in_key(*calls(example)[call])) for call in ("convert", *ENGINES)]
    assert len(set(keys)) == 3
