"""Runs whose process is gone are taken up again: every worker sweeps, so one living worker is enough.

A run is lost when it was reported as killed; when the lock that its process takes in this machine's home was free at
two sweeps; or, wherever it was, when it sent none of the heartbeat events that Prefect sends every 30 s for
`LOST_AFTER_S`. One that has a process on the machine of whoever looks is not lost. A lost run is scheduled anew under
its own id: it goes on where it was, since finished stages are kept. With a sweep every `EVERY_S` and a worker asking
every 10 s it works again within half a minute, on another machine within two minutes.
"""

import os
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.states import Cancelled, Failed, Scheduled
from prefect.types._datetime import now

from flows.service.supervisor import say
from tasks.cache.in_use import left

EVERY_S = 5.0
LOST_AFTER_S = 75.0
MOST_CRASHES, MOST_STARTS = 6, 30
"""A run whose process ended so often while its worker lived is at fault itself (it eats all memory, say), and ends
Failed; one that was lost with its worker may have had no part in it, and is given up later."""

MOST_FAULTS = 3
"""A run whose process ended so often on its own, while there was a server, would do so again."""

EXCUSED_S = 30.0
"""A process that ended on its own before its server had answered again for so long may have ended for want of it."""

_EXCUSED = "Its server was away; it is taken up again."

_WORKING = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_UUID = "prefect.flow-run."
_RUN = b"PREFECT__FLOW_RUN_ID="
"""The variable in which Prefect's worker names the run to its process."""


@dataclass
class Sweep:
    """Looks for lost runs; trusts silence only once the server has answered for as long as a run may be silent.

    A free lock is trusted at the second sweep that finds it so: between a process' start or end and its lock's there is
    a moment.
    """

    lost_after_s: float = LOST_AFTER_S
    _answers_since: float = field(default_factory=time.monotonic)
    _freed: set[UUID] = field(default_factory=set)

    def once(self) -> list[str]:
        """Take up what is lost; returns the names of those runs. An unreachable server is an empty list."""
        try:
            with get_client(sync_client=True) as client:
                return self._swept(client)
        except Exception:  # a server that is away or starting: whatever it said, nothing can be known now
            self._answers_since = time.monotonic()
            return []

    def _swept(self, client: SyncPrefectClient) -> list[str]:
        crashed = [run for run in _runs(client, [StateType.CRASHED]) if _recent(run)]
        working = _runs(client, _WORKING)
        living = living_here() if working else set()
        absent = [run for run in working if run.state and run.id not in living]
        freed = {run.state.id for run in absent if run.state and _has_left(run)}
        gone = [run for run in absent if run.state and run.state.id in freed & self._freed]
        self._freed = freed
        silent = []
        if time.monotonic() - self._answers_since >= self.lost_after_s:
            since = now("UTC") - timedelta(seconds=self.lost_after_s)
            old = [run for run in absent if run not in gone and run.state and run.state.timestamp < since]
            alive = _alive(client, [run.id for run in old], since)
            silent = [run for run in old if run.id not in alive]
        steady = now("UTC") - timedelta(seconds=time.monotonic() - self._answers_since - EXCUSED_S)
        return [run.name for run in (*crashed, *gone, *silent) if take_up(client, run, steady)]


def take_up(client: SyncPrefectClient, run: FlowRun, steady: datetime) -> bool:
    """Schedule a lost run anew, unless its state has changed meanwhile; a cancelled one stays cancelled.

    `steady` is since when the server has been there without a break.
    """
    current = client.read_flow_run(run.id)
    if not current.state or not run.state or current.state.id != run.state.id:
        return False
    state: State[Any] = Scheduled(
        name="AwaitingRetry", message="The process of this run was lost; it is taken up again."
    )
    if current.state.type == StateType.CANCELLING:
        state = Cancelled(message="Cancelled; its worker is gone.")
    elif _is_fault(current.state) and current.state.timestamp < steady:
        state = Scheduled(name="AwaitingRetry", message=_EXCUSED)
    elif words := _hopeless(current, client.read_flow_run_states(run.id)):
        state = Failed(message=words)
    client.set_flow_run_state(run.id, state, force=True)
    return True


def _hopeless(run: FlowRun, states: Sequence[State[Any]]) -> str:
    """Why a run that was lost is not taken up once more, as a sentence; empty where it is."""
    if run.state and _is_fault(run.state) and _faults(states) >= MOST_FAULTS:
        return "The run ended by a fault of its own before it could say which; its worker's log runs.log says more."
    crashes = sum(state.type == StateType.CRASHED for state in states)
    if crashes >= MOST_CRASHES or run.run_count >= MOST_STARTS:
        return f"The process of this run was lost {run.run_count} times; it is not started again."
    return ""


def _faults(states: Sequence[State[Any]]) -> int:
    """How often a run's process ended on its own without that excuse that its server was away.

    >>> fault, killed = (State(type="CRASHED", message=f"Process exited with status code: {code}.") for code in (1, -9))
    >>> _faults([fault, State(type="SCHEDULED", message=_EXCUSED), fault, State(type="SCHEDULED"), killed])
    1
    """
    after = [*states[1:], None]
    return sum(
        _is_fault(one) and (not then or then.message != _EXCUSED) for one, then in zip(states, after, strict=True)
    )


def _is_fault(state: State[Any]) -> bool:
    """Whether a process ended on its own, with a small exit code, and was not killed."""
    code = re.search(r"status code: (-?\d+)", state.message or "") if state.type == StateType.CRASHED else None
    return bool(code and 0 < int(code[1]) < 128)


def _runs(client: SyncPrefectClient, types: list[StateType]) -> list[FlowRun]:
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)),
        deployment_id=FlowRunFilterDeploymentId(is_null_=False),
    )
    return list(client.read_flow_runs(flow_run_filter=wanted, limit=200))


def _has_left(run: FlowRun) -> bool:
    """Whether the run began its work on this machine's home and its process let go of it."""
    return bool(run.state and run.state.type != StateType.PENDING and left(f"run-{run.id}"))


def _recent(run: FlowRun) -> bool:
    """Crashed within the last hour: what an operator left crashed yesterday stays so."""
    return bool(run.state and run.state.timestamp > now("UTC") - timedelta(hours=1))


def _alive(client: SyncPrefectClient, ids: list[UUID], since: Any) -> set[UUID]:
    """Those of the runs that sent a heartbeat since then."""
    if not ids:
        return set()
    wanted = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"{_UUID}{one}" for one in ids]),
        occurred=EventOccurredFilter(since=since),
    )
    page = client.read_events(filter=wanted, limit=50)
    alive = {UUID(event.resource.id.removeprefix(_UUID)) for event in page.events}
    while page.next_page:
        page = client.read_events_page(str(page.next_page))
        alive |= {UUID(event.resource.id.removeprefix(_UUID)) for event in page.events}
    return alive


def living_here() -> set[UUID]:
    """The runs that have a process on this machine: on a busy one a start takes long and heartbeats come late."""
    ids = set()
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError):  # it ended, or is not ours to look at, or is no process
            variables = (process / "environ").read_bytes().split(b"\0")
            ids |= {UUID(v.removeprefix(_RUN).decode()) for v in variables if v.startswith(_RUN)}
    return ids


def sweep_forever(stop: threading.Event) -> None:
    """Sweep until `stop` is set; `$REMIX_LOST_AFTER_S` is how long a run may be silent, in seconds."""
    sweep = Sweep(float(os.environ.get("REMIX_LOST_AFTER_S", LOST_AFTER_S)))
    while not stop.wait(EVERY_S):
        for name in sweep.once():
            say(f"taken up again: {name}")
