"""A lock in the store that machines share, where flock cannot be: a lease with an owner and a heartbeat.

A key's lock is a row of numbered objects, `locks/<key>/<number>`, of which the highest counts. It is taken by creating
the next number, which exactly one of several can; so nothing is ever held by two. While it is held its owner rewrites
it every few seconds. A lease that nobody saw change for `LEASE_S` is dead, by the clock of whoever looks, so clocks
need not agree; its key is taken by the next number.
"""

import json
import os
import socket
import threading
import time
from dataclasses import dataclass

from tasks.cache.locking import Release
from tasks.cache.remote_store import RemoteStore, StoreUnreachable, shared

LEASE_S = 30.0
_BEAT_S = LEASE_S / 6
_POLL_S = 0.5
_RELEASED = b"released"


@dataclass(frozen=True)
class Leases:
    """Locks in the shared store, each expired when its owner has sent no heartbeat for `lease_s` seconds."""

    lease_s: float = LEASE_S

    def taken(self, key: str, timeout_s: float | None) -> Release | None:
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
                    return _kept_alive(store, _name(key, last + 1))
                store.remove(_name(key, last + 1))  # a number from the past: others have gone further
            if timeout_s is not None and time.monotonic() - started >= timeout_s:
                return None
            time.sleep(_POLL_S)

    def is_taken(self, key: str) -> bool:
        store = _store()
        numbers = _numbers(store, key)
        return bool(numbers) and store.read(_name(key, max(numbers))) not in (None, _RELEASED)


def _kept_alive(store: RemoteStore, name: str) -> Release:
    """Rewrite a lease every few seconds until what is returned is called."""
    over = threading.Event()

    def beat() -> None:
        count = 0
        while not over.wait(_BEAT_S):
            count += 1
            try:
                store.write(name, _owner(count))
            except StoreUnreachable:
                continue  # others take over if it lasts; what both then compute is the same

    def release() -> None:
        over.set()
        beating.join()  # a beat on its way must not come after the last word
        store.write(name, _RELEASED)

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    return release


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
