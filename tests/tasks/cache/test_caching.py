import json
import threading
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.runtime import flow_run
from prefect.utilities import collections

from models.core.types import Clip, Take
from tasks.cache import caching
from tasks.cache.caching import results_folder, stage
from tasks.cache.collecting import collect, damaged, stats
from tasks.cache.in_use import in_use
from tasks.cache.store import Store
from tasks.runs.stage_log import stage_log

pytestmark = pytest.mark.usefixtures("prefect_server", "home")

WEIGHTS = {"sha256": "one"}
RAN: list[str] = []


@dataclass(frozen=True)
class LouderSettings:
    gain: float = 2.0


@stage("numpy", depends=lambda **inputs: WEIGHTS["sha256"])
def louder(audio: Clip, settings: LouderSettings, device: str) -> Take:
    """Make it louder."""
    RAN.append("louder")
    source = Store().source(audio)
    return Take(Store().put([source.read(0, source.frames) * settings.gain], audio.sample_rate), 0.0, 0.0)


@stage("numpy")
def later(take: Take, seconds: float) -> Take:
    """Move it."""
    RAN.append("later")
    return Take(take.audio, take.start_s + seconds, take.gain_db)


def both(gain: float = 2.0, seconds: float = 1.0, device: str = "cpu", level: float = 0.1):
    audio = Store().put([np.full((2, 5000), level, np.float32)], 44_100)
    return later(louder(audio, LouderSettings(gain), device), seconds)


@flow
def both_in_a_flow():
    return both(), stage_log(str(flow_run.id))


@dataclass(frozen=True)
class Kept:
    take: Take
    many: tuple[LouderSettings, ...]


@stage("numpy")
def length_of(kept: Kept) -> Clip:
    """The clip of a record in a record."""
    return kept.take.audio


@flow
def through_a_record(kept: LouderSettings):
    audio = Store().put([np.full((2, 5000), 0.1, np.float32)], 44_100)
    length_of(Kept(louder(audio, kept, "cpu"), (kept,) * 1000))
    return flow_run.id


@pytest.fixture(autouse=True)
def fresh():
    RAN.clear()
    WEIGHTS["sha256"] = "one"


def ran(**choices) -> list[str]:
    RAN.clear()
    both(**choices)
    return list(RAN)


def test_the_second_run_computes_nothing_and_says_what_it_saved():
    first, made = both_in_a_flow()
    RAN.clear()
    second, reused = both_in_a_flow()
    assert first == second
    assert RAN == []
    assert [run.reused for run in made] == [False, False]
    assert [run.reused for run in reused] == [True, True]
    assert [run.seconds for run in reused] == [run.seconds for run in made]


def test_only_what_depends_on_a_change_runs_again():
    assert ran() == ["louder", "later"]
    assert ran(seconds=2.0) == ["later"]
    assert ran(device="elsewhere") == []
    assert ran(gain=3.0) == ["louder", "later"]
    assert ran(level=0.2) == ["louder", "later"]
    assert ran() == []


def test_a_stage_whose_input_came_out_equal_is_a_hit():
    silent = {"level": 0.0}
    assert ran(gain=1.0, **silent) == ["louder", "later"]
    assert ran(gain=5.0, **silent) == ["louder"]


def test_changed_weights_are_a_miss_and_the_old_ones_a_hit_again():
    ran()
    WEIGHTS["sha256"] = "two"
    assert ran() == ["louder"]
    WEIGHTS["sha256"] = "one"
    assert ran() == []


def test_changed_code_is_a_miss(monkeypatch):
    ran()
    monkeypatch.setattr(caching, "code_digest", lambda *modules: "edited")
    assert ran() == ["louder", "later"]


@pytest.mark.parametrize("harm", ["flip", "truncate", "delete"])
def test_a_damaged_blob_is_made_anew(harm):
    take, kept = both(), stats()
    path = Store().path(take.audio)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    if harm != "delete":
        path.write_bytes(content if harm == "flip" else content[:100])
    assert len(damaged()) == 2
    assert ran() == ["louder"]
    assert damaged() == ()
    assert stats() == kept


@pytest.mark.parametrize("harm", ["cut", "dict", "other type"])
def test_a_record_that_does_not_load_as_its_type_is_made_anew(harm):
    both()
    path = next(results_folder().glob("later-*"))
    record = json.loads(path.read_text())
    if harm == "dict":
        record["result"] = record["result"].replace("models.core.types.Take", "models.gone.Take")
    if harm == "other type":
        record["result"] = '{"__class__": "models.core.types.Note", "data": [0, 1, 60, 90]}'
    path.write_text(json.dumps(record)[: -20 if harm == "cut" else None])
    assert ran() == ["later"]


def test_two_runs_at_once_compute_each_stage_once():
    threads = [threading.Thread(target=both, kwargs={"gain": 7.0}) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(RAN) == ["later", "louder"]


def test_the_collector_takes_the_least_used_and_spares_a_run_under_way():
    both(gain=1.5)
    both(gain=2.5)
    both(gain=1.5)
    before = stats()
    assert before.results == 4
    time.sleep(0.02)  # file times are told in steps of some milliseconds, and what is as old as a run is spared
    with in_use():
        both(gain=2.5)
        assert collect(0).results == 2
        assert ran(gain=2.5) == []
    both(gain=1.5)
    half = stats().bytes // 2 + 2000
    assert collect(half).results == 2
    assert ran(gain=1.5) == []
    assert collect(0).bytes > 0
    assert stats().bytes == 0


def test_a_failing_stage_leaves_no_result_and_frees_its_lock(monkeypatch):
    audio = Store().put([np.ones((2, 10), np.float32)], 44_100)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "put", lambda *a: (_ for _ in ()).throw(RuntimeError("stop")))
        with pytest.raises(RuntimeError, match="stop"):
            louder(audio, LouderSettings(), "cpu")
    assert stats().results == 0
    assert louder(audio, LouderSettings(), "cpu").start_s == 0.0


def test_the_graph_of_a_run_shows_what_fed_a_stage_though_prefect_searches_no_record(monkeypatch):
    searched = Counter()
    search = collections.visit_collection

    def counting(expr, *args, **kwargs):
        searched[type(expr).__name__] += 1
        return search(expr, *args, **kwargs)

    monkeypatch.setattr(collections, "visit_collection", counting)
    run_id = through_a_record(LouderSettings())
    runs, end = {}, time.monotonic() + 120
    with get_client(sync_client=True) as client:
        while not {"length_of", "louder"} <= runs.keys():  # the server hears of them a little later
            assert time.monotonic() < end
            found = client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [run_id]}))
            runs = {run.name: run for run in found}
    fed = {given.id for values in runs["length_of"].task_inputs.values() for given in values}
    assert runs["louder"].id in fed
    assert searched["LouderSettings"] < 10, "not one by one"
