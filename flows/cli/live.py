"""What a person at a terminal sees while the stages work: live bars, or plain lines where there is no terminal."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tasks.runs import progress

_LINE_EVERY_S = 5.0


@contextmanager
def shown(console: Console) -> Iterator[None]:
    """Show every stage's progress on `console` until the block ends."""
    if not console.is_terminal:
        with progress.listening_to(_Lines(console)):
            yield
        return
    name = TextColumn("{task.description:<14}")
    times = TimeElapsedColumn(), TimeRemainingColumn()
    bars = Progress(name, BarColumn(), TaskProgressColumn(), *times, console=console)
    with bars, progress.listening_to(_Bars(bars)):
        yield


class _Bars:
    """One bar a stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._ids: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __call__(self, stage: str, fraction: float) -> None:
        with self._lock:
            if stage not in self._ids:
                self._ids[stage] = self._bars.add_task(stage, total=1.0)
        self._bars.update(self._ids[stage], completed=fraction)


class _Lines:
    """A line when a stage starts, every few seconds while it works, and when it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, float] = {}

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        if stage in self._said and now - self._said[stage] < _LINE_EVERY_S and fraction < 1.0:
            return
        if self._said.get(stage) == float("inf"):
            return
        self._said[stage] = float("inf") if fraction >= 1.0 else now
        self._console.print(f"{stage}: {100 * fraction:.0f} %", highlight=False)
        sys.stdout.flush()
