"""The resident engine: one process a machine that keeps networks loaded and computes for every run of that machine.

One network works at a time, in the order of asking; the CPU stages of other runs go on beside it. Where there is a GPU
the engine holds the Prefect concurrency limit named gpu while a network works, strictly: no limit, no work. What it
loads and computes is noted in `logs/engine.jsonl`.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import tasks.stages  # noqa: F401  # every stage by its name
from models.errors import BadInput, Cancelled
from models.progress import Watch
from models.registry import home
from tasks.caching import STAGES
from tasks.networks import NETWORKS
from tasks.progress import reporting_to

_LEASE_S = 60.0  # the shortest that Prefect allows: how long a killed engine's slot stays taken


def serve_networks(socket: str, limit: str | None) -> None:
    """Listen until this process is ended; `limit` is the Prefect limit to hold while a network works."""
    Path(socket).parent.mkdir(parents=True, exist_ok=True)
    Path(socket).unlink(missing_ok=True)
    NETWORKS.heard.append(lambda name: _note(event="load", network=name))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    os.umask(0o077)
    with Listener(socket, "AF_UNIX", backlog=64) as listener, ThreadPoolExecutor(1) as turn:
        _note(event="start")
        while True:
            connection = listener.accept()
            threading.Thread(target=_answer, args=(connection, turn, limit), daemon=True).start()


def _answer(connection: Connection, turn: ThreadPoolExecutor, limit: str | None) -> None:
    """Compute one stage for one run, in its turn."""
    asked = time.time()
    with connection:
        try:
            stage, inputs = connection.recv()
            value = turn.submit(_computed, connection, stage, inputs, limit, asked).result()
            connection.send(("done", value))
        except (Cancelled, EOFError, OSError):
            return
        except (BadInput, MemoryError) as error:
            connection.send(("error", error))
        except Exception as error:
            connection.send(("error", _portable(error)))


def _computed(connection: Connection, stage: str, inputs: dict[str, Any], limit: str | None, asked: float) -> Any:
    def progress(fraction: float) -> None:
        try:
            connection.send(("at", fraction))
        except OSError:
            raise Cancelled("the run that asked is gone") from None

    progress(0.0)
    with _slot(limit), reporting_to(Watch(progress)):
        started = time.time()
        try:
            return STAGES[stage].fn(**inputs)
        finally:
            _note(event="stage", stage=stage, asked=asked, started=started, ended=time.time())


@contextmanager
def _slot(limit: str | None) -> Iterator[None]:
    """The GPU's slot. A late renewal of the lease does not end the work: the slot is ours on this machine anyway."""
    if limit is None:
        with nullcontext():
            yield
        return
    from prefect.concurrency.sync import concurrency

    with concurrency(limit, strict=True, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False):
        yield


def _portable(error: Exception) -> Exception:
    """The error as the asking process can read it; what ran out of a GPU's memory is a MemoryError there."""
    words = f"{type(error).__name__}: {error}"
    return MemoryError(words) if type(error).__name__ == "OutOfMemoryError" else RuntimeError(words)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _note(**what: object) -> None:
    path = home() / "logs" / "engine.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as log:
        log.write(json.dumps({"pid": os.getpid(), "at": time.time(), **what}) + "\n")
