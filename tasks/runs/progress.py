"""From a model's `Watch` to whoever looks: listeners in this process, and progress artifacts in the Prefect UI."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

from models.core.progress import Watch

Listener = Callable[[str, float], None]
"""Hears (stage name, fraction 0..1)."""

_ARTIFACT_EVERY_S = 1.0
_listeners: list[Listener] = []
_stop = threading.Event()
_elsewhere: ContextVar[Watch | None] = ContextVar("elsewhere", default=None)


@contextmanager
def listening_to(listener: Listener) -> Iterator[None]:
    """Have every stage of this process report to `listener`, from the thread that computes, until the block ends."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(stage: str, fraction: float) -> None:
    """Tell the listeners of this process how far a stage is that another process computes."""
    for listener in tuple(_listeners):
        listener(stage, fraction)


def stop_all() -> None:
    """Ask every stage of this process to stop at its next report."""
    _stop.set()


@contextmanager
def reporting_to(watch: Watch) -> Iterator[None]:
    """Have the stages that this thread runs in the block report to a watch alone, for a listener in another process."""
    token = _elsewhere.set(watch)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def stage_watch(name: str) -> Watch:
    """A watch for the running stage; its artifact appears after a second, then moves each second."""
    if (elsewhere := _elsewhere.get()) is not None:
        return elsewhere
    artifact = _Artifact(name)

    def progress(fraction: float) -> None:
        tell(name, fraction)
        artifact.show(fraction)

    return Watch(progress, _stop.is_set)


class _Artifact:
    """One progress bar in the UI, at most one update a second; a server that does not answer never stops the music."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.id: UUID | None = None
        self.shown_at = time.monotonic()

    def show(self, fraction: float) -> None:
        due = time.monotonic() - self.shown_at >= _ARTIFACT_EVERY_S
        finished = fraction >= 1.0 and self.id is not None
        if TaskRunContext.get() is None or not (due or finished):
            return
        self.shown_at = time.monotonic()
        with suppress(Exception):
            percent = 100.0 * fraction
            if self.id is None:
                made = create_progress_artifact(percent, description=self.name)
                self.id = made if isinstance(made, UUID) else None
            else:
                update_progress_artifact(self.id, percent)
