"""Lost runs are taken up again: on a real server, with runs whose processes never were."""

import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling, Completed, Crashed, Failed, Pending, Running
from prefect.types._datetime import now

from flows.service.lost_runs import EXCUSED_S, MOST_CRASHES, MOST_FAULTS, MOST_STARTS, Sweep, living_here
from tasks.cache.in_use import alone, left

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow
def nothing():
    pass


@pytest.fixture
def client():
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def run_in(client):
    """Makes a run of a deployment that is in a state since a while, without any process."""
    deployment = client.create_deployment(client.create_flow(nothing), f"lost-{time.time_ns()}")

    def make(state, starts: int = 0):
        run = client.create_flow_run_from_deployment(deployment)
        for _ in range(starts):
            client.set_flow_run_state(run.id, Running(), force=True)
        state.timestamp = now("UTC") - timedelta(seconds=200)
        client.set_flow_run_state(run.id, state, force=True)
        return run.id

    return make


def test_a_sweep_takes_up_what_is_lost_and_nothing_else(client, run_in):
    states = {"running": Running(), "pending": Pending(), "crashed": Crashed()}
    lost = {name: run_in(state) for name, state in states.items()}
    words = "Process exited with status code: 1. Process exited with a general error."
    faulty, unlucky, killed = (run_in(Crashed(message=words)) for _ in range(3))
    for _ in range(MOST_FAULTS - 1):
        client.set_flow_run_state(faulty, Crashed(message=words), force=True)
        client.set_flow_run_state(killed, Crashed(message=words), force=True)
    client.set_flow_run_state(killed, Crashed(message="Process exited with status code: -9."), force=True)
    over = {"failed": run_in(Failed()), "completed": run_in(Completed())}
    cancelling, hopeless = run_in(Cancelling(), starts=1), run_in(Running(), starts=MOST_STARTS)
    eats_memory = run_in(Crashed(message="Process exited with status code: -9."))
    for _ in range(MOST_CRASHES - 1):
        client.set_flow_run_state(eats_memory, Crashed(message="Process exited with status code: -9."), force=True)
    sweep = Sweep(lost_after_s=1000)
    sweep._answers_since -= 900
    crashed_only = sweep.once()
    assert len(crashed_only) == 5, "silence counts only once the server has answered for as long"
    sweep.lost_after_s = 0.5
    time.sleep(0.6)
    assert len(sweep.once()) == 4
    for one in lost.values():
        assert client.read_flow_run(one).state.name == "AwaitingRetry"
    assert client.read_flow_run(cancelling).state.type == StateType.CANCELLED
    assert client.read_flow_run(faulty).state.type == StateType.FAILED
    assert client.read_flow_run(unlucky).state.name == "AwaitingRetry", "its server may have been away"
    assert client.read_flow_run(killed).state.name == "AwaitingRetry", "whatever went before, now it was killed"
    for one in (hopeless, eats_memory):
        ended = client.read_flow_run(one)
        assert ended.state.type == StateType.FAILED
        assert f"lost {ended.run_count} times" in ended.state.message
    assert [client.read_flow_run(one).state.type.value.lower() for one in over.values()] == list(over)
    assert sweep.once() == []


def test_a_run_whose_process_ended_while_its_server_was_away_is_excused(client, run_in):
    words = "Process exited with status code: 1. Process exited with a general error."
    run, sweep = run_in(Running()), Sweep()
    for _ in range(MOST_FAULTS):
        client.set_flow_run_state(run, Crashed(message=words), force=True)
        assert len(sweep.once()) == 1
        assert client.read_flow_run(run).state.message == "Its server was away; it is taken up again."
    sweep._answers_since -= EXCUSED_S + 60
    for _ in range(MOST_FAULTS):
        assert client.read_flow_run(run).state.name == "AwaitingRetry"
        client.set_flow_run_state(run, Crashed(message=words), force=True)
        assert len(sweep.once()) == 1
    assert client.read_flow_run(run).state.type == StateType.FAILED


def test_a_run_that_sends_heartbeats_is_not_lost(client, run_in):
    from prefect.events import emit_event
    from prefect.events.worker import EventsWorker

    alive = run_in(Running())
    emit_event("prefect.flow-run.heartbeat", resource={"prefect.resource.id": f"prefect.flow-run.{alive}"})
    EventsWorker.instance().wait_until_empty()
    sweep, end = Sweep(lost_after_s=100.0), time.monotonic() + 30
    sweep._answers_since -= 1000
    from flows.service.lost_runs import _alive

    while not _alive(client, [alive], now("UTC") - timedelta(seconds=100)):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert sweep.once() == []
    assert client.read_flow_run(alive).state.type == StateType.RUNNING


def test_a_run_whose_process_lives_here_is_not_lost_however_silent(client, run_in):
    run = run_in(Running())
    sweep = Sweep(lost_after_s=0.5)
    sweep._answers_since -= 3600
    environment = os.environ | {"PREFECT__FLOW_RUN_ID": str(run)}
    process = subprocess.Popen(["sleep", "600"], env=environment)
    try:
        end = time.monotonic() + 60
        while run not in living_here():
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(0.6)  # silent for longer than a run may be
        sweep.once()
        meanwhile = client.read_flow_run(run).state
    finally:
        process.kill()
        process.wait()
    assert meanwhile.type == StateType.RUNNING
    sweep.once()
    assert client.read_flow_run(run).state.name == "AwaitingRetry"


def test_a_run_that_left_its_lock_is_taken_up_at_the_second_sweep(client, run_in, tmp_path, monkeypatch):
    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    dead, working, elsewhere, waiting = (run_in(state) for state in (Running(), Running(), Running(), Pending()))
    for run in (dead, waiting):
        with alone(f"run-{run}"):
            pass
    sweep = Sweep(lost_after_s=3600)
    with alone(f"run-{working}"):
        assert sweep.once() == [], "it may be about to begin, or just over"
        assert len(sweep.once()) == 1
    assert client.read_flow_run(dead).state.name == "AwaitingRetry"
    for run in (working, elsewhere, waiting):
        assert client.read_flow_run(run).state.name in ("Running", "Pending")


def test_a_run_holds_its_lock_before_it_is_running_and_until_its_process_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    program = "import flows.deployments.remix, sys; from tasks.cache.in_use import alone\n"
    program += "with alone('run-7'): print('in', flush=True)\nsys.stdin.read()"
    environment = os.environ | {"PREFECT__FLOW_RUN_ID": "7"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"in\n"
    assert not left("run-7"), "held after the block as well"
    process.kill()
    process.wait()
    assert left("run-7")
    assert not left("run-8"), "nobody has worked under it"


def test_a_server_that_is_away_says_nothing_of_any_run(monkeypatch):
    from flows.service import lost_runs

    sweep = Sweep(lost_after_s=50.0)
    sweep._answers_since -= 1000
    monkeypatch.setattr(lost_runs, "get_client", lambda **k: (_ for _ in ()).throw(ConnectionError()))
    assert sweep.once() == []
    assert time.monotonic() - sweep._answers_since < 50
