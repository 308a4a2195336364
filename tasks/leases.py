"""A lock in the store that machines share, where flock cannot be: a lease with an owner and a heartbeat.

A key's lock is a row of numbered objects, `locks/<key>/<number>`, of which the highest counts. It is taken by creating
the next number, which exactly one of several can; so nothing is ever held by two. While it is held its owner rewrites
it every few seconds. A lease that nobody saw change for `LEASE_S` is dead, by the clock of whoever looks, so clocks
need not agree; its key is taken by the next number.
"""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.remote_store import RemoteStore, StoreUnreachable, shared

LEASE_S = 30.0
_BEAT_S = LEASE_S / 6
_POLL_S = 0.5
_RELEASED = b"released"


@dataclass
class _Lease:
    """One lock held by this process, kept alive until it is let go."""

    store: RemoteStore
    name: str
    stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        count = 0
        while not self.stop.wait(_BEAT_S):
            count += 1
            try:
                self.store.write(self.name, _owner(count))
            except StoreUnreachable:
                continue  # others take over if it lasts; what both then compute is the same

    def release(self) -> None:
        self.stop.set()
        self.store.write(self.name, _RELEASED)


@dataclass
class LeaseLockManager:
    """Prefect's `LockManager` protocol over leases; a call runs under each newly taken lock and before each release."""

    on_acquired: Callable[[str], None]
    on_release: Callable[[str], None]
    lease_s: float = LEASE_S
    _held: dict[str, tuple[str, _Lease]] = field(default_factory=dict)

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        if self.is_lock_holder(key, holder):
            return True
        lease = self._taken(key, acquire_timeout)
        if lease is None:
            return False
        lease.start()
        self._held[key] = (holder, lease)
        try:
            self.on_acquired(key)
        except BaseException:
            self._held.pop(key)[1].release()
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
            self._held.pop(key)[1].release()

    def is_locked(self, key: str) -> bool:
        store = _store()
        numbers = _numbers(store, key)
        return bool(numbers) and store.read(_name(key, max(numbers))) not in (None, _RELEASED)

    def is_lock_holder(self, key: str, holder: str) -> bool:
        return key in self._held and self._held[key][0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        lease = self._taken(key, timeout)
        if lease is not None:
            lease.release()
        return lease is not None

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)

    def _taken(self, key: str, timeout: float | None) -> _Lease | None:
        """The lock, once it is free or dead; None when the time is up."""
        store, started = _store(), time.monotonic()
        seen: tuple[int, bytes | None] = (-1, None)
        seen_at = started
        while True:
            numbers = _numbers(store, key)
            last = max(numbers, default=0)
            content = store.read(_name(key, last)) if numbers else _RELEASED
            if (last, content) != seen:
                seen, seen_at = (last, content), time.monotonic()
            free = content == _RELEASED or time.monotonic() - seen_at > self.lease_s
            if free and store.create(_name(key, last + 1), _owner(0)):
                after = _numbers(store, key)
                if max(after) == last + 1:
                    for number in after:
                        if number <= last:
                            store.remove(_name(key, number))
                    return _Lease(store, _name(key, last + 1))
                store.remove(_name(key, last + 1))  # a number from the past: others have gone further
            if timeout is not None and time.monotonic() - started >= timeout:
                return None
            time.sleep(_POLL_S)

    def __deepcopy__(self, memo: dict[int, object]) -> "LeaseLockManager":
        return self  # Prefect copies cache policies; the locks a process holds are one set


def _store() -> RemoteStore:
    store = shared()
    if store is None:
        raise RuntimeError("leases need a shared store")
    return store


def _name(key: str, number: int) -> str:
    return f"locks/{key}/{number:09d}"


def _numbers(store: RemoteStore, key: str) -> list[int]:
    names = (name.rpartition("/")[2] for name in store.keys(f"locks/{key}"))
    return [int(name) for name in names if name.isdigit()]


def _owner(count: int) -> bytes:
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "beat": count}).encode()
