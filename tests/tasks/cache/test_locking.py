import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from tasks.cache.locking import Flocks, LockManager


def manager(folder: Path, acquired: list[str] | None = None) -> LockManager:
    return LockManager(Flocks(lambda: folder), (acquired if acquired is not None else []).append)


def _hold(folder: Path, ready) -> None:
    manager(folder).acquire_lock("key", "child")
    ready.set()
    signal.pause()


@pytest.fixture
def holder(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(30)
    yield process
    process.kill()
    process.join()


def test_a_lock_held_elsewhere_is_not_given_until_its_holder_is_killed(tmp_path, holder):
    mine = manager(tmp_path)
    assert mine.is_locked("key")
    assert not mine.acquire_lock("key", "me", acquire_timeout=0.2)
    assert mine.acquire_lock("another key", "me", acquire_timeout=0)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert mine.acquire_lock("key", "me", acquire_timeout=10)


def test_two_threads_of_one_process_exclude_each_other_and_a_holder_may_ask_again(tmp_path):
    mine = manager(tmp_path)
    assert mine.acquire_lock("key", "one")
    assert mine.acquire_lock("key", "one")
    assert not mine.acquire_lock("key", "two", acquire_timeout=0.1)
    with pytest.raises(ValueError, match="does not hold"):
        mine.release_lock("key", "two")
    mine.release_lock("key", "one")
    assert mine.acquire_lock("key", "two", acquire_timeout=0)


def test_the_record_is_verified_once_under_each_new_lock(tmp_path):
    acquired: list[str] = []
    mine = manager(tmp_path, acquired)
    mine.acquire_lock("key", "one")
    mine.acquire_lock("key", "one")
    assert mine.wait_for_lock("other")
    assert not mine.is_locked("other")
    assert acquired == ["key"]


def test_a_record_that_cannot_be_looked_at_leaves_its_key_free(tmp_path):
    def full(key: str) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        LockManager(Flocks(lambda: tmp_path), full).acquire_lock("key", "one")
    assert manager(tmp_path).acquire_lock("key", "two", acquire_timeout=0)
