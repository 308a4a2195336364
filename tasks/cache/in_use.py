"""Which runs are under way, so that the collector never takes what one is using."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.core.registry import home
from models.core.vanishing_files import existing


def _folder() -> Path:
    return home() / "runs"


@contextmanager
def in_use() -> Iterator[None]:
    """Mark a run as under way for as long as it, or its process, lives: a locked file, freed by the kernel at death."""
    _folder().mkdir(parents=True, exist_ok=True)
    while True:
        path = _folder() / uuid.uuid4().hex
        with open(path, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not path.exists():  # a collector took it for a dead run's before it was locked
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


_claimed: dict[str, int] = {}
"""The names this process works under until it ends, and their open locks."""


def claim(name: str) -> None:
    """Wait until no other process of this machine works under that name, and do so for as long as this one lives."""
    if name not in _claimed:
        _claimed[name] = _opened(name)
        fcntl.flock(_claimed[name], fcntl.LOCK_EX)


def claim_run() -> None:
    """Claim the run that a worker started this process for, if any did.

    Done before the run is Running, so that a sweep that finds its lock free knows that the process is gone.
    """
    if run := os.environ.get("PREFECT__FLOW_RUN_ID"):
        claim(f"run-{run}")


@contextmanager
def alone(name: str) -> Iterator[None]:
    """The same for as long as the block lasts; the kernel ends the wait when a process dies."""
    if name in _claimed:
        yield
        return
    descriptor = _opened(name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_at_work(name: str) -> bool:
    """Whether a process of this machine works under that name now."""
    try:
        with open(_lock(name), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def left(name: str) -> bool:
    """Whether a process of this machine has worked under that name and none does now."""
    return _lock(name).is_file() and not is_at_work(name)


def _opened(name: str) -> int:
    _lock(name).parent.mkdir(parents=True, exist_ok=True)
    return os.open(_lock(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _lock(name: str) -> Path:
    return home() / "locks" / f"{name}.lock"


def oldest_start() -> float | None:
    """When the oldest run under way began (seconds since the epoch), or None; marks of dead runs are removed."""
    starts = []
    for path, stat in existing(_folder().glob("*")):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # that run has ended meanwhile
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except OSError:
            starts.append(stat.st_mtime)
        finally:
            os.close(descriptor)
    return min(starts, default=None)
