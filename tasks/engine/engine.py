"""The resident engine: one process a machine that keeps networks loaded and computes for every run of that machine.

One stage has its turn at a time, in the order of asking; the CPU stages of other runs go on beside it. On a GPU the
separations that wait together share a turn, and their segments a forward pass; there the engine also holds the Prefect
concurrency limit named gpu during a turn, strictly: no limit, no work. What it loads and computes is noted in
`logs/engine.jsonl`.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import tasks.stages.registry  # noqa: F401  # every stage by its name
from models.core.device import cuda_usable
from models.core.errors import BadInput, Cancelled, ran_out_of_memory
from models.core.malloc import keep_freed_memory, release_freed_memory
from models.core.progress import Watch
from models.core.registry import home
from models.separation.batching import batched
from tasks.cache.caching import STAGES
from tasks.cache.remote_store import StoreUnreachable
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import reporting_to

_LEASE_S = 60.0  # the shortest that Prefect allows: how long a killed engine's slot stays taken
SHARED = "separate"
"""The stage of which several share a turn on a GPU."""
MOST_SHARED = 4


@dataclass
class _Call:
    """One stage asked for by one run; the answer is its result."""

    connection: Connection
    stage: str
    inputs: dict[str, Any]
    asked: float = field(default_factory=time.time)
    answer: "Future[Any]" = field(default_factory=Future)

    @property
    def shares(self) -> bool:
        return self.stage == SHARED and str(self.inputs.get("device", "")).startswith("cuda")

    def compute(self) -> None:
        """Compute it, reporting to the run that asked; stops when that run is gone."""

        def progress(fraction: float) -> None:
            try:
                self.connection.send(("at", fraction))
            except OSError:
                raise Cancelled("the run that asked is gone") from None

        started = time.time()
        try:
            progress(0.0)
            with reporting_to(Watch(progress)):
                self.answer.set_result(STAGES[self.stage].fn(**self.inputs))
        except BaseException as error:  # whatever it was: without an answer the run, and the engine's turn, would hang
            self.answer.set_exception(error)
        finally:
            release_freed_memory()
            _note(event="stage", stage=self.stage, asked=self.asked, started=started, ended=time.time())


def serve_networks(socket: str, limit: str | None) -> None:
    """Listen until this process is ended; `limit` is the Prefect limit to hold while a network works."""
    keep_freed_memory()
    Path(socket).parent.mkdir(parents=True, exist_ok=True)
    Path(socket).unlink(missing_ok=True)
    NETWORKS.on_load.append(lambda name: _note(event="load", network=name))
    if cuda_usable():
        NETWORKS.prepared = _for_several
    calls: SimpleQueue[_Call] = SimpleQueue()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    threading.Thread(target=take_turns, args=(calls, limit), daemon=True).start()
    os.umask(0o077)
    with Listener(socket, "AF_UNIX", backlog=64) as listener:
        _note(event="start")
        while True:
            threading.Thread(target=_answer, args=(listener.accept(), calls), daemon=True).start()


def take_turns(calls: "SimpleQueue[_Call]", limit: str | None) -> None:
    """Compute what is asked for, for ever: one call a turn, or several separations that wait together on a GPU."""
    left: list[_Call] = []
    with ThreadPoolExecutor(MOST_SHARED) as together:
        while True:
            left += _waiting(calls) if left else [calls.get(), *_waiting(calls)]
            turn = [left[0]]
            if left[0].shares:
                turn = [call for call in left if call.shares][:MOST_SHARED]
            left = [call for call in left if call not in turn]
            try:
                with _slot(limit):
                    list(together.map(_Call.compute, turn))
            except Exception as error:
                for call in turn:
                    if not call.answer.done():
                        call.answer.set_exception(error)


def _waiting(calls: "SimpleQueue[_Call]") -> list[_Call]:
    waiting = []
    while True:
        try:
            waiting.append(calls.get_nowait())
        except Empty:
            return waiting


def _for_several(network: Any) -> Any:
    return batched(network) if hasattr(network, "sources") else network


def _answer(connection: Connection, calls: "SimpleQueue[_Call]") -> None:
    """Have one stage computed for one run, in its turn."""
    with connection, suppress(EOFError, OSError):  # whoever asked is gone
        call = _Call(connection, *connection.recv())
        calls.put(call)
        connection.send(_outcome(call))


def _outcome(call: _Call) -> tuple[str, Any]:
    try:
        return "done", call.answer.result()
    except (BadInput, Cancelled, MemoryError, StoreUnreachable) as error:
        return "error", error
    except BaseException as error:
        return "error", _portable(error)


@contextmanager
def _slot(limit: str | None) -> Iterator[None]:
    """The GPU's slot. A late renewal of the lease does not end the work: the slot is ours on this machine anyway."""
    if limit is None:
        yield
        return
    from prefect.concurrency.sync import concurrency

    with concurrency(limit, strict=True, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False):
        yield


def _portable(error: BaseException) -> Exception:
    """The error as the asking process can read it: of a kind that is known there, so that what can pass is tried again.

    What ran out of a GPU's memory is a MemoryError there.
    """
    if isinstance(error, OSError) and error.errno:
        return OSError(error.errno, error.strerror)
    words = f"{type(error).__name__}: {error}"
    for kind in (ConnectionError, TimeoutError):
        if isinstance(error, kind):
            return kind(words)
    return MemoryError(words) if ran_out_of_memory(error) else RuntimeError(words)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _note(**what: object) -> None:
    """Add a line to the log; a full disk costs the line and not the work."""
    path = home() / "logs" / "engine.jsonl"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as log:
            log.write(json.dumps({"pid": os.getpid(), "at": time.time(), **what}) + "\n")
