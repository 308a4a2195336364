"""What runs leave beside the cache, the remixes and the uploads: taken away when it is asked for, or when it is old."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from models.core.errors import BadInput
from tasks.cache.in_use import is_at_work
from tasks.runs.remixes import forget_notes, old_remixes, remove_remix
from tasks.runs.uploads import old_uploads, remove_upload

PAGE = 200
"""How many runs, deployments or artifacts a server names at once."""

OVER = (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED)
"""A run in another state may work yet: a crashed one is taken up again."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Cleared:
    """What was taken away beside the cache."""

    remixes: int
    uploads: int
    bytes: int


def clear_old(client: SyncPrefectClient, remix_days: int, upload_days: int) -> Cleared:
    """Take away remixes and uploads of so many days ago and before; 0 keeps all of them.

    Spared are the remixes of runs that are not over, and the uploads that such a run, or a deployment with or without
    a schedule, names.
    """
    size, busy = 0, {str(run.id) for run in _working(client)} if remix_days else set()
    old = [run for run in old_remixes(remix_days) if run not in busy and not _works(run)] if remix_days else []
    for run_id in old:
        size += remove_remix(run_id)
    if old:
        forget_notes(old, collected=True)
    aged = old_uploads(upload_days) if upload_days else []
    spared = _named(client) if aged else set()  # asked last: what is named from now on was handed in anew before
    songs = [digest for digest in aged if digest not in spared]
    for digest in songs:
        size += remove_upload(digest)
    return Cleared(len(old), len(songs), size)


def remove_run(client: SyncPrefectClient, run: FlowRun) -> None:
    """Remove a run that is over: its remix, here and in the shared store, what its page shows, and the run itself."""
    state = run.state.type if run.state else None
    if state not in (*OVER, StateType.CRASHED) or _works(str(run.id)):
        raise BadInput(f"The run {run.name!r} is not over: {run.state_name}; cancel it first.")
    forget_notes([str(run.id)], collected=False)
    remove_remix(str(run.id))
    shown = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    while artifacts := client.read_artifacts(artifact_filter=shown, limit=PAGE):
        for artifact in artifacts:
            client.delete_artifact(artifact.id)
    client.delete_flow_run(run.id)


def runs_in(client: SyncPrefectClient, types: list[StateType]) -> Iterator[FlowRun]:
    """Every run that the server knows in one of these states, the latest first, asked for page by page."""
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)))
    latest = FlowRunSort.EXPECTED_START_TIME_DESC
    for offset in count(0, PAGE):
        page = client.read_flow_runs(flow_run_filter=wanted, sort=latest, limit=PAGE, offset=offset)
        yield from page
        if len(page) < PAGE:
            return


def _working(client: SyncPrefectClient) -> Iterator[FlowRun]:
    return runs_in(client, [state for state in StateType if state not in OVER])


def _works(run_id: str) -> bool:
    return is_at_work(f"run-{run_id}")


def _named(client: SyncPrefectClient) -> set[str]:
    """The digests that runs not over, deployments and their schedules name anywhere in their parameters."""
    parameters: list[Any] = [run.parameters for run in _working(client)]
    for offset in count(0, PAGE):
        page = client.read_deployments(limit=PAGE, offset=offset)
        parameters += [one.parameters for one in page]
        parameters += [schedule.parameters for one in page for schedule in one.schedules]
        if len(page) < PAGE:
            break
    return set(_DIGEST.findall(json.dumps(parameters, default=str)))
