"""The store that machines share, on a real S3 endpoint process (moto's server) and on a shared folder."""

import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.cache import leases, remote_store
from tasks.cache.fingerprint import ROOT
from tasks.cache.leases import Leases
from tasks.cache.locking import LockManager
from tasks.cache.remote_store import RemoteStore, StoreUnreachable, shared

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 endpoint in a process of its own, with a bucket named shared."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            address, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(urllib.request.Request(f"{address}/shared", method="PUT"), timeout=5).close()
                    break
                except OSError:
                    assert time.monotonic() < end
                    time.sleep(0.2)
            yield address
        finally:
            process.kill()


@pytest.fixture(params=["s3", "file"])
def store(request, tmp_path, monkeypatch) -> RemoteStore:
    if request.param == "s3":
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3"))
        monkeypatch.setenv("REMIX_STORE", f"s3://shared/{tmp_path.name}")
    else:
        monkeypatch.setenv("REMIX_STORE", f"file://{tmp_path}/shared")
    remote_store._opened.cache_clear()
    found = shared()
    assert found
    return found


def test_objects_come_back_and_of_several_creators_one_wins(store, tmp_path):
    file = tmp_path / "a file"
    file.write_bytes(b"some bytes")
    store.push(file, "blobs/ab/a file")
    assert store.pull("blobs/ab/a file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"some bytes"
    assert store.has("blobs/ab/a file")
    assert not store.pull("blobs/none", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert store.keys("blobs/ab") == ["blobs/ab/a file"]
    won: list[bool] = []
    threads = [threading.Thread(target=lambda: won.append(store.create("one", b"x"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False, False, False, True]
    store.write("one", b"y")
    assert store.read("one") == b"y"
    store.remove("one")
    store.remove("one")
    assert store.read("one") is None


def test_a_lease_is_held_by_one_and_a_dead_owners_is_taken_over(store, monkeypatch):
    monkeypatch.setattr(leases, "_POLL_S", 0.05)
    seen: list[str] = []
    one, two = LockManager(Leases(1.0), seen.append), LockManager(Leases(1.0), seen.append)
    monkeypatch.setattr(leases, "_BEAT_S", 0.2)
    assert one.acquire_lock("key", "first")
    assert one.acquire_lock("key", "first")
    assert not two.acquire_lock("key", "second", acquire_timeout=2.5), "its heartbeat keeps it"
    assert two.is_locked("key")
    one.release_lock("key", "first")
    assert two.acquire_lock("key", "second", acquire_timeout=20)
    two.release_lock("key", "second")
    assert store.create(leases._name("key", 99), b"an owner that is gone: no heartbeat, no release")
    assert two.is_locked("key")
    assert one.acquire_lock("key", "first", acquire_timeout=20)
    one.release_lock("key", "first")
    assert not one.is_locked("key")
    assert seen == ["key", "key", "key"]


def test_of_many_that_want_a_dead_lease_one_has_it_at_a_time(store, monkeypatch):
    monkeypatch.setattr(leases, "_POLL_S", 0.02)
    assert store.create(leases._name("key", 1), b"an owner that is gone")
    inside, most, turns, lock = 0, 0, 0, threading.Lock()

    def want(number: int) -> None:
        nonlocal inside, most, turns
        manager = LockManager(Leases(0.5), lambda key: None)
        assert manager.acquire_lock("key", str(number), acquire_timeout=60)
        with lock:
            inside, turns = inside + 1, turns + 1
            most = max(most, inside)
        time.sleep(0.05)
        with lock:
            inside -= 1
        manager.release_lock("key", str(number))

    threads = [threading.Thread(target=want, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (turns, most) == (4, 1)


def test_a_store_that_does_not_answer_is_tried_again_then_said_to_be_unreachable(monkeypatch, tmp_path):
    pauses: list[float] = []
    monkeypatch.setattr(remote_store.time, "sleep", pauses.append)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("REMIX_STORE", "s3://shared/away")
    remote_store._opened.cache_clear()
    store = shared()
    assert store
    with pytest.raises(StoreUnreachable, match="s3://shared/away cannot be reached"):
        store.read("anything")
    assert [pause for pause in pauses if pause >= 1] == [1.0, 3.0, 9.0]


@pytest.mark.usefixtures("prefect_server")
def test_what_one_machine_made_is_a_hit_on_another(store, tmp_path):
    import os

    from prefect.settings import get_current_settings

    command = [sys.executable, "-c", "from tests.support.machine import work; work()"]

    def machine(home: Path) -> list[str]:
        environment = os.environ | {
            "REMIX_HOME": str(home),
            "PREFECT_API_URL": str(get_current_settings().api.url),
            "PYTHONPATH": str(ROOT),
            "PREFECT_LOGGING_LEVEL": "ERROR",
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert machine(tmp_path / "one") == ["computed", f"peak {float(np.float32(0.1) * 2)}"]
    assert machine(tmp_path / "two") == [f"peak {float(np.float32(0.1) * 2)}"]
    wipe(store, "blobs")
    assert machine(tmp_path / "three") == ["computed", f"peak {float(np.float32(0.1) * 2)}"]
    assert machine(tmp_path / "four") == [f"peak {float(np.float32(0.1) * 2)}"], "what was wiped is there again"


def wipe(store: RemoteStore, prefix: str) -> None:
    for key in store.keys(prefix):
        if Path(key).suffix:
            store.remove(key)
        else:
            wipe(store, key)


@pytest.mark.usefixtures("prefect_server", "home")
def test_a_run_fails_plainly_when_the_store_goes_away_in_the_middle(tmp_path, monkeypatch):
    from prefect import flow
    from prefect.states import Completed

    from flows.deployments.remix import honest
    from models.core.types import Take
    from tasks.cache.caching import stage
    from tasks.cache.store import Store

    monkeypatch.setenv("REMIX_STORE", f"file://{tmp_path}/shared")
    monkeypatch.setattr(remote_store.time, "sleep", lambda seconds: None)
    remote_store._opened.cache_clear()

    @stage("numpy")
    def kept(number: float) -> Take:
        """Something to keep."""
        return Take(Store().put([np.full((2, 100), number, np.float32)], 44_100), 0.0, 0.0)

    @flow
    @honest
    def work():
        kept(0.1)
        monkeypatch.setattr(RemoteStore, "create", _away)
        monkeypatch.setattr(RemoteStore, "keys", _away)
        kept(0.2)
        return Completed()

    ended = work(return_state=True)
    assert ended.is_failed()
    assert ended.message == "The shared store cannot be reached."


def _away(*arguments):
    raise StoreUnreachable("The shared store cannot be reached.")
