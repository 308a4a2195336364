"""A lock for Prefect's transactions that the kernel frees when its holder dies: flock on a file a key.

Prefect's own FileSystemLockManager writes no expiry, so a killed process leaves its keys locked for ever. Here the lock
is the open file itself. The moment a key is locked is also when its record is verified, before Prefect looks for it.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_POLL_S = 0.05


@dataclass
class FlockLockManager:
    """Prefect's `LockManager` protocol over flock; `on_acquired(key)` runs under each newly taken lock."""

    folder: Callable[[], Path]
    on_acquired: Callable[[str], None]
    _held: dict[str, tuple[str, int]] = field(default_factory=dict)

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        if self.is_lock_holder(key, holder):
            return True
        deadline = None if acquire_timeout is None else time.monotonic() + acquire_timeout
        while (descriptor := self._try(key)) is None:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        self._held[key] = (holder, descriptor)
        self.on_acquired(key)
        return True

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        if not self.is_lock_holder(key, holder):
            raise ValueError(f"{holder} does not hold the lock {key}")
        os.close(self._held.pop(key)[1])

    def is_locked(self, key: str) -> bool:
        descriptor = self._try(key)
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def is_lock_holder(self, key: str, holder: str) -> bool:
        return key in self._held and self._held[key][0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_locked(key):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)

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

    def __deepcopy__(self, memo: dict[int, object]) -> "FlockLockManager":
        return self  # Prefect copies cache policies; the locks a process holds are one set
