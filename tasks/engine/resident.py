"""Stages that use networks, computed by this machine's resident engine where there is one (see `tasks.engine.engine`).

A run of the service is a process of its own, so networks it loads die with it; the engine's stay. It is asked over a
Unix socket that only this user can open, and writes into the same store, so audio never travels.
"""

import os
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from typing import Any

from models.core.progress import Watch

SOCKET = "REMIX_ENGINE"
"""The environment variable that names the engine's socket."""


class EngineLost(Exception):
    """The engine does not answer, or went away in the middle; it is being started, so the same may well work later."""


def computed(stage: str, compute: Callable[..., Any], inputs: dict[str, Any], watch: Callable[[str], Watch]) -> Any:
    """A stage's result from the resident engine, or from `compute` in this process where none is configured.

    Raises `EngineLost` where one is and does not answer: computing beside it would go past the limit it holds.
    """
    connection = _connected()
    if connection is None:
        return compute(**inputs)
    with connection:
        connection.send((stage, inputs))
        listening = watch(stage)
        while True:
            try:
                kind, value = connection.recv()
            except (EOFError, OSError) as error:
                raise EngineLost(f"The engine ended while it computed {stage}.") from error
            if kind == "at":
                listening.at(value)
            elif kind == "done":
                return value
            else:
                raise value


def _connected() -> Connection | None:
    path = os.environ.get(SOCKET)
    if not path:
        return None
    try:
        return Client(path, "AF_UNIX")
    except OSError as error:
        raise EngineLost("The engine of this machine does not answer; it may be starting.") from error
