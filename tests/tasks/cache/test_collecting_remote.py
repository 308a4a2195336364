"""The shared store kept under a size, on a real S3 endpoint process and on a shared folder."""

import json
import os
import time

import numpy as np
import pytest

from models.core.types import Clip, Take
from tasks.cache import collecting_remote
from tasks.cache.caching import stage
from tasks.cache.collecting_remote import collect_shared
from tasks.cache.leases import Leases
from tasks.cache.store import Store
from tests.tasks.cache.test_remote_store import s3, store  # noqa: F401  # fixtures

EVERYTHING_IS_OLD = -3600.0
SIZE = 1000


def blob(letter: str) -> str:
    return f"blobs/{letter * 2}/{letter * 64}.wav"


def result(letter: str) -> str:
    return f"results/mix-{letter * 64}"


@pytest.fixture
def filled(store, home, monkeypatch):  # noqa: F811
    """Clips a to d, of which an older result names a and b, a younger one b and c."""
    monkeypatch.setattr(collecting_remote, "SPARED_S", EVERYTHING_IS_OLD)
    for letter in "abcd":
        store.write(blob(letter), bytes(SIZE))
    for name, letters in (("1", "ab"), ("2", "bc")):
        record = json.dumps({"result": json.dumps([{"sha256": letter * 64} for letter in letters])})
        store.write(result(name), record.encode().ljust(SIZE))
        time.sleep(1.1)  # an object's time is told in seconds
    return store


def kept(store) -> set[str]:  # noqa: F811
    return {one.key for folder in ("blobs", "results") for one in store.objects(folder)}


def test_objects_are_told_with_sizes_and_times(store):  # noqa: F811
    store.write("remixes/a/b c/mix.mp3", bytes(7))
    store.write("remixes/a/d", b"")
    (first, second) = sorted(store.objects("remixes"), key=lambda one: one.key)
    assert (first.key, first.bytes, second.key, second.bytes) == ("remixes/a/b c/mix.mp3", 7, "remixes/a/d", 0)
    assert abs(first.written_at - time.time()) < 60
    assert store.objects("remixes/a/d") == [second]
    assert store.objects("none") == []


def test_what_was_used_longest_ago_goes_first_and_clips_only_with_the_last_result_that_names_them(filled):
    everything = kept(filled)
    assert collect_shared(6 * SIZE).bytes == 0
    assert kept(filled) == everything
    assert collect_shared(6 * SIZE - 1).clips == 1
    assert everything - kept(filled) == {blob("d")}
    gone = collect_shared(4 * SIZE)
    assert (gone.results, gone.clips, gone.bytes) == (1, 1, 2 * SIZE) or (gone.results, gone.clips) == (1, 0)
    assert result("1") not in kept(filled)
    assert {blob("b"), blob("c"), result("2")} <= kept(filled)
    collect_shared(0)
    assert kept(filled) == set()


def test_what_is_under_a_lease_or_was_written_lately_stays(filled, monkeypatch):
    release = Leases().taken(f"mix-{'2' * 64}", None)
    collect_shared(0)
    assert kept(filled) == {result("2"), blob("b"), blob("c")}
    release()
    with monkeypatch.context() as usual:
        usual.setattr(collecting_remote, "SPARED_S", 3600.0)
        assert collect_shared(0).bytes == 0
    assert len(kept(filled)) == 3
    collect_shared(0)
    assert kept(filled) == set()


def test_what_is_used_while_it_is_collected_stays(filled, monkeypatch):
    taken = Leases.taken

    def used_meanwhile(leases, key, timeout_s):
        if key.startswith("mix-1"):
            filled.write(f"results/{key}", filled.read(f"results/{key}"))
        return taken(leases, key, timeout_s)

    monkeypatch.setattr(Leases, "taken", used_meanwhile)
    collect_shared(0)
    assert kept(filled) == {result("1"), blob("a"), blob("b")}


def test_without_a_shared_store_there_is_nothing_to_collect(monkeypatch):
    monkeypatch.delenv("REMIX_STORE", raising=False)
    assert collect_shared(0) is None


@stage("numpy")
def halved(audio: Clip) -> Take:
    """Half as loud."""
    source = Store().source(audio)
    return Take(Store().put([source.read(0, source.frames) / 2], audio.sample_rate), 0.0, 0.0)


@pytest.mark.usefixtures("prefect_server")
def test_a_hit_counts_as_a_use_in_the_store_and_what_was_collected_there_is_put_back_whole(home, tmp_path, monkeypatch):
    from prefect import flow

    from tasks.cache import remote_store

    monkeypatch.setenv("REMIX_STORE", f"file://{tmp_path}/shared")
    remote_store._opened.cache_clear()

    @flow
    def work() -> None:
        halved(Store().put([np.full((2, 100), 0.5, np.float32)], 44_100))

    work()
    (record,) = (tmp_path / "shared" / "results").glob("halved-*")
    (here,) = (home / "results").glob("halved-*")
    for path in (record, here):
        os.utime(path, (1e9, 1e9))
    work()
    assert record.stat().st_mtime > time.time() - 600
    os.utime(record, (1e9, 1e9))
    work()
    assert record.stat().st_mtime == 1e9, "once an hour is enough"
    there = [path for path in (tmp_path / "shared").rglob("*") if path.is_file() and "locks" not in path.parts]
    for path in there:
        path.unlink()
    work()
    assert len(there) == 3
    assert all(path.is_file() for path in there), "put back whole"
