"""The resident engine as a process of its own, asked by this one."""

import errno
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Listener
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from prefect.states import Failed

from models.conversion.convert import Voice, load_voice
from models.conversion.voices.registry import find_voice
from models.core.errors import BadInput, Cancelled
from models.core.progress import Watch
from models.core.types import Clip
from models.separation.settings import SeparateSettings
from models.synthesis.example_song import example_song
from tasks.cache.caching import can_pass, stage
from tasks.cache.fingerprint import ROOT
from tasks.cache.remote_store import StoreUnreachable
from tasks.cache.store import Store
from tasks.engine import resident
from tasks.engine.engine import _Call, _outcome, take_turns
from tasks.engine.networks import Networks, bytes_in
from tasks.stages.separate import separate


@pytest.fixture
def engine(home, monkeypatch):
    socket = home / "engine.sock"
    home.mkdir()
    environment = os.environ | {"REMIX_HOME": str(home), "REMIX_ENGINE": str(socket)}
    command = [sys.executable, "-c", "from flows.cli import main; main()", "engine"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        while not socket.exists():
            assert process.poll() is None
            time.sleep(0.1)
        monkeypatch.setenv("REMIX_ENGINE", str(socket))
        yield process
        process.kill()


def ask(stage: str, **inputs):
    heard: list[float] = []
    found = resident.computed(
        stage, lambda **inputs: pytest.fail("no engine"), inputs, lambda name: Watch(heard.append)
    )
    return found, heard


@pytest.mark.weights
def test_it_computes_loads_once_reports_and_outlives_bad_input_and_a_caller_that_leaves(engine, home):
    audio = Store().put([example_song(seconds=4.0).mix.samples], 44_100)
    wanted = {"audio": audio, "separator": "band-mask", "settings": SeparateSettings(), "seed": 0, "device": "cpu"}
    stems, heard = ask("separate", **wanted)
    assert heard[0] == 0.0
    assert heard[-1] == 1.0
    assert stems == separate.fn(**wanted)
    with pytest.raises(BadInput, match="overlap"):
        ask("separate", **wanted | {"settings": SeparateSettings(overlap=2.0)})
    with pytest.raises(Cancelled):
        resident.computed("separate", None, wanted, lambda name: Watch(cancelled=lambda: True))
    assert ask("separate", **wanted)[0] == stems
    log = [json.loads(line) for line in (home / "logs" / "engine.jsonl").read_text().splitlines()]
    assert [row["network"] for row in log if row["event"] == "load"] == ["band-mask"]
    assert {row["pid"] for row in log} == {engine.pid}


@pytest.mark.usefixtures("prefect_server", "home")
def test_a_turn_holds_the_limit_and_without_that_limit_nothing_is_computed():
    from prefect.client.orchestration import get_client

    limit = "gpu of this test"

    @stage("numpy")
    def slots_taken(audio: Clip) -> Clip:
        """How many slots of the limit are taken, as a number of frames."""
        with get_client(sync_client=True) as client:
            found = client.read_global_concurrency_limit_by_name(limit)
        return Clip(audio.sha256, audio.sample_rate, audio.channels, found.active_slots)

    calls: SimpleQueue[_Call] = SimpleQueue()
    threading.Thread(target=take_turns, args=(calls, limit), daemon=True).start()

    def asked() -> Clip:
        _listening, connection = Pipe()
        call = _Call(connection, "slots_taken", {"audio": Clip("0" * 64, 44_100, 2, 0)})
        calls.put(call)
        return call.answer.result(timeout=120)

    with pytest.raises(Exception, match="oncurrency"):
        asked()
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(limit, 1)
        assert asked().frames == 1
        end = time.monotonic() + 60
        while client.read_global_concurrency_limit_by_name(limit).active_slots:
            assert time.monotonic() < end, "the slot is given back"
            time.sleep(0.1)


def test_why_a_disk_was_full_reaches_the_run_that_asked():
    call = _Call(Pipe()[0], "none", {})
    call.answer.set_exception(OSError(errno.ENOSPC, "No space left on device", "a file"))
    kind, error = _outcome(call)
    assert (kind, error.errno) == ("error", errno.ENOSPC)


@pytest.mark.parametrize("kind", [StoreUnreachable, ConnectionError, ConnectionResetError, TimeoutError, MemoryError])
def test_what_can_pass_reaches_the_run_as_such(kind):
    call = _Call(Pipe()[0], "none", {})
    call.answer.set_exception(kind("The store is away."))
    told = pickle.loads(pickle.dumps(_outcome(call)[1]))
    assert can_pass(None, None, Failed(data=told))
    assert str(told).endswith("The store is away.")
    assert isinstance(told, StoreUnreachable) == (kind is StoreUnreachable)


def test_beside_an_engine_that_is_just_starting_nothing_is_computed(monkeypatch, tmp_path):
    monkeypatch.setenv("REMIX_ENGINE", str(tmp_path / "none"))
    with pytest.raises(resident.EngineLost, match="does not answer"):
        ask("separate")


def test_without_an_engine_the_stage_is_computed_here(monkeypatch):
    monkeypatch.delenv("REMIX_ENGINE", raising=False)
    assert resident.computed("double", lambda number: 2 * number, {"number": 4}, lambda name: Watch()) == 8


def test_networks_are_kept_until_they_are_too_many_bytes(tmp_path):
    networks, loaded = Networks(most_bytes=5000), []
    networks.on_load.append(loaded.append)
    files = [tmp_path / name for name in "abc"]
    for path in files:
        path.write_bytes(np.random.default_rng(0).bytes(1000))
    for path in (files[0], files[1], files[0], files[2], files[0], files[1]):
        networks.kept(lambda file, device: object(), path, "cpu")
    assert loaded == ["a", "b", "c", "b"]
    files[0].write_bytes(b"other weights")
    networks.kept(lambda file, device: object(), files[0], "cpu")
    assert loaded[-1] == "a"


@pytest.mark.weights
def test_a_voice_takes_the_bytes_of_all_that_it_is_made_of():
    engine: Any = load_voice(find_voice("lj"), "cpu").engine
    wanted = sum(t.nbytes for part in (engine.network, engine.encoder) for t in (*part.parameters(), *part.buffers()))
    assert wanted > 10_000_000
    assert bytes_in(Voice(engine.card, engine)) == pytest.approx(wanted, rel=1e-4)
    assert bytes_in(object()) == 0


def test_a_stage_that_ends_in_any_way_is_answered_and_the_next_has_its_turn():
    @stage("numpy")
    def stepped_out(audio: Clip) -> Clip:
        """Ends as no stage should."""
        if audio.frames:
            raise SystemExit(3)
        return audio

    calls: SimpleQueue[_Call] = SimpleQueue()
    threading.Thread(target=take_turns, args=(calls, None), daemon=True).start()

    def asked(frames: int) -> tuple[str, Any]:
        _listening, connection = Pipe()
        call = _Call(connection, "stepped_out", {"audio": Clip("0" * 64, 44_100, 2, frames)})
        calls.put(call)
        call.answer.exception(timeout=60)
        return _outcome(call)

    kind, error = asked(frames=1)
    assert (kind, str(error)) == ("error", "SystemExit: 3")
    assert asked(frames=0)[0] == "done"


@pytest.mark.parametrize("end", ["done", "error", "lost", "stopped"])
def test_whoever_asked_leaves_no_thread_and_no_connection_behind(tmp_path, monkeypatch, end):
    """Whether the stage is done, fails, its engine dies, or the run is told to stop."""
    path, closed = str(tmp_path / "engine"), threading.Event()
    listener = Listener(path, "AF_UNIX")
    monkeypatch.setenv("REMIX_ENGINE", path)

    def answer() -> None:
        with listener.accept() as connection:
            connection.recv()
            connection.send(("at", 0.5))
            if end == "done":
                connection.send(("done", 7))
            elif end == "error":
                connection.send(("error", BadInput("It is no song.")))
            elif end == "lost":
                return
            with suppress(EOFError):
                connection.recv()  # ends when the other side is closed
            closed.set()

    engine = threading.Thread(target=answer)
    engine.start()
    before = set(threading.enumerate())
    stopped = Watch(cancelled=lambda: end == "stopped")
    errors = {"error": BadInput, "lost": resident.EngineLost, "stopped": Cancelled}
    with pytest.raises(errors[end]) if end in errors else nullcontext():
        assert resident.computed("a stage", pytest.fail, {}, lambda name: stopped) == 7
    engine.join(60)
    assert not engine.is_alive()
    assert closed.is_set() == (end != "lost")
    assert set(threading.enumerate()) <= before
    listener.close()
