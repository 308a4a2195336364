"""Which runs are under way, so that the collector never takes what one is using."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.registry import home


def _folder() -> Path:
    return home() / "runs"


@contextmanager
def in_use() -> Iterator[None]:
    """Mark a run as under way for as long as it, or its process, lives: a locked file, freed by the kernel at death."""
    _folder().mkdir(parents=True, exist_ok=True)
    path = _folder() / uuid.uuid4().hex
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait until no other process of this machine works under that name; the kernel ends the wait when one dies."""
    _lock(name).parent.mkdir(parents=True, exist_ok=True)
    with open(_lock(name), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def left(name: str) -> bool:
    """Whether a process of this machine has worked `alone` under that name and none does now."""
    try:
        with open(_lock(name), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lock(name: str) -> Path:
    return home() / "locks" / f"{name}.lock"


def oldest_start() -> float | None:
    """When the oldest run under way began (seconds since the epoch), or None; marks of dead runs are removed."""
    starts = []
    for path in _folder().glob("*") if _folder().is_dir() else ():
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except OSError:
            starts.append(path.stat().st_mtime)
        finally:
            os.close(descriptor)
    return min(starts, default=None)
