"""Locks for Prefect's transactions whose holder may die: the kernel's on one machine, leases where several share.

Prefect's own FileSystemLockManager writes no expiry, so a killed process leaves its keys locked for ever. Here the lock
is an open file under flock, which the kernel frees at its holder's death, or a lease (`tasks.cache.leases`). When a key
is locked its record is verified as well, before Prefect looks for it.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Release = Callable[[], None]

_POLL_S = 0.05


class Locks(Protocol):
    """Locks by key that exclude threads, processes or machines from each other, and outlive no holder."""

    def taken(self, key: str, timeout_s: float | None) -> Release | None:
        """Take a key as soon as it is free; returns what lets go of it, or None when the time was up before."""

    def is_taken(self, key: str) -> bool:
        """Whether somebody holds a key now."""


@dataclass
class LockManager:
    """Prefect's `LockManager` protocol over locks; a call runs under each newly taken lock, one before each release."""

    locks: Locks
    on_acquired: Callable[[str], None]
    on_release: Callable[[str], None] = lambda key: None
    _held: dict[str, tuple[str, Release]] = field(default_factory=dict)

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        if self.is_lock_holder(key, holder):
            return True
        release = self.locks.taken(key, acquire_timeout)
        if release is None:
            return False
        self._held[key] = (holder, release)
        try:
            self.on_acquired(key)
        except BaseException:
            self._held.pop(key)[1]()
            raise
        return True

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        if not self.is_lock_holder(key, holder):
            raise ValueError(f"{holder} does not hold the lock {key}")
        try:
            self.on_release(key)
        finally:
            self._held.pop(key)[1]()

    def is_locked(self, key: str) -> bool:
        return self.locks.is_taken(key)

    def is_lock_holder(self, key: str, holder: str) -> bool:
        return key in self._held and self._held[key][0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        release = self.locks.taken(key, timeout)
        if release is not None:
            release()
        return release is not None

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)

    def __deepcopy__(self, memo: dict[int, object]) -> "LockManager":
        return self  # Prefect copies cache policies; the locks a process holds are one set


@dataclass(frozen=True)
class Flocks:
    """Locks on one machine: an open file a key in a folder, under flock."""

    folder: Callable[[], Path]

    def taken(self, key: str, timeout_s: float | None) -> Release | None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (descriptor := self._try(key)) is None:
            if deadline is not None and time.monotonic() >= deadline:
                return None
            time.sleep(_POLL_S)
        held = descriptor
        return lambda: os.close(held)

    def is_taken(self, key: str) -> bool:
        descriptor = self._try(key)
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def _try(self, key: str) -> int | None:
        """An open, locked descriptor, or None while somebody else (or another thread) holds the key."""
        folder = self.folder()
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor
