"""`remix runs`: the state of the runs of submitted songs."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from flows.cli.run import AsJson
from models.core.errors import BadInput, unknown_name

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

RunId = Annotated[str, typer.Argument(help="A run's id, or enough of its beginning.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(help="The service's runs: without a command, the latest ones.", invoke_without_command=True)
    group.callback()(runs)
    for command in (show, cancel, retry, fetch, remove):
        group.command()(command)
    app.add_typer(group, name="runs", rich_help_panel="Service")


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many to name.")] = 30,
    state: Annotated[str, typer.Option(help="Only those in this state: failed, say.")] = "",
    as_json: AsJson = False,
) -> None:
    """Name the latest runs, the newest first; what the clock will start later is left out."""
    if context.invoked_subcommand:
        return
    from flows.service.deployments import use_api

    use_api()
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType

    from flows.cli.maintenance import show_rows

    states = [name.lower() for name in StateType.__members__]
    if state and state.lower() not in states:
        raise unknown_name("state", state, states)
    with get_client(sync_client=True) as client:
        due = (run for run in _each(client, state) if not (run.auto_scheduled and run.state_type == "SCHEDULED"))
        runs = list(islice(due, limit))
    rows = [
        {
            "id": str(run.id) if as_json else str(run.id)[:8],
            "name": run.name,
            "state": run.state_name,
            "seconds": round(run.total_run_time.total_seconds()),
            "message": message_of(run),
        }
        for run in runs
    ]
    show_rows(rows, as_json)


def show(run_id: RunId, as_json: AsJson = False) -> None:
    """Tell all of a run: its state with its reason, its parameters and stages, and where its page is."""
    from flows.cli.maintenance import show_rows

    run = _run_of(run_id)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        stages = client.read_task_runs(flow_run_filter=wanted, limit=200)
    message = message_of(run)
    if as_json:
        row: dict[str, Any] = {"id": str(run.id), "name": run.name, "state": run.state_name, "message": message}
        names = [{"name": stage.name, "state": stage.state_name} for stage in stages]
        print(json.dumps(row | {"page": page_of(run), "parameters": run.parameters, "stages": names}))
        return
    print(f"{run.name}: {run.state_name}\n{message}\n{page_of(run)}")
    for name, value in run.parameters.items():
        print(f"  {name}: {value}")
    rows = [
        {"stage": stage.name, "state": stage.state_name, "seconds": round(stage.total_run_time.total_seconds(), 1)}
        for stage in sorted(stages, key=lambda stage: str(stage.start_time))
    ]
    show_rows(rows, as_json=False)


def cancel(run_id: RunId, as_json: AsJson = False) -> None:
    """Stop a run; what it finished is kept."""
    run = _run_of(run_id)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import State, StateType
    from prefect.states import Cancelled, Cancelling

    if not run.state or run.state.is_final():
        raise BadInput(f"The run {run.name!r} is over already: {run.state_name}.")
    waits = run.state.type == StateType.SCHEDULED
    state: State[Any] = Cancelled(message="Cancelled before it began.") if waits else Cancelling()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, state)
    _tell(run, state, as_json)


def retry(run_id: RunId, as_json: AsJson = False) -> None:
    """Start a run that failed or was cancelled again, under its own id; what it finished is not done again."""
    run = _run_of(run_id)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import State
    from prefect.states import Scheduled

    if not run.state or run.state.is_completed() or not run.state.is_final():
        raise BadInput(f"The run {run.name!r} cannot be tried again: {run.state_name}.")
    state: State[Any] = Scheduled(name="AwaitingRetry", message="It is tried again, as was asked for.")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, state, force=True)
    _tell(run, state, as_json)


def fetch(
    run_id: RunId,
    out: Annotated[Path, typer.Option(help="The folder that gets the song's folder.")] = Path("remixes"),
    as_json: AsJson = False,
) -> None:
    """Copy a finished remix out of the service's store."""
    run = _run_of(run_id)
    from flows.deployments.remix import fetched

    if run.state and not run.state.is_completed():
        raise BadInput(f"The run {run.name!r} has no remix: {run.state_name}. {run.state.message or ''}".strip())
    folders = [str(folder) for folder in fetched(str(run.id), out)]
    print(json.dumps({"id": str(run.id), "folders": folders}) if as_json else "\n".join(folders))


def remove(
    run_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of runs, or enough of their beginnings.")],
    as_json: AsJson = False,
) -> None:
    """Remove runs that are over, with their remixes, from this machine, the shared store and the server.

    A batch whose folder has such a song remixes it anew. Uploads stay: `remix cache gc --upload-days`.
    """
    runs = [_run_of(run_id) for run_id in run_ids]
    from prefect.client.orchestration import get_client

    from flows.service.run_data import remove_run

    with get_client(sync_client=True) as client:
        refused = []
        for run in {run.id: run for run in runs}.values():
            try:
                remove_run(client, run)
            except BadInput as reason:
                refused.append(str(reason))
                continue
            print(json.dumps({"id": str(run.id), "name": run.name}) if as_json else f"{run.name}: removed")
    if refused:
        raise BadInput("\n".join(refused))


def _tell(run: "FlowRun", state: "State[Any]", as_json: bool) -> None:
    row = {"id": str(run.id), "name": run.name, "state": state.name}
    print(json.dumps(row) if as_json else f"{run.name}: {state.name}")


def page_of(run: "FlowRun") -> str:
    """The address of a run's page in the UI."""
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    ui = settings.ui_url or str(settings.api.url).removesuffix("/api")
    return f"{ui}/runs/flow-run/{run.id}"


def message_of(run: "FlowRun") -> str:
    """Why a run is in the state that it is in, as far as it is said."""
    return (run.state.message if run.state else None) or ""


def _run_of(run_id: str) -> "FlowRun":
    """The run whose id begins so; raises `BadInput` for none or several."""
    from flows.service.deployments import use_api

    use_api()
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        if len(run_id) == 36:
            try:
                return client.read_flow_run(UUID(run_id))
            except (ObjectNotFound, ValueError):
                raise BadInput(f"There is no run {run_id}.") from None
        matching = list(islice((run for run in _each(client) if str(run.id).startswith(run_id.lower())), 2))
    if len(matching) != 1:
        raise BadInput(f"{'Several runs begin' if matching else 'No run begins'} with {run_id!r}; say its whole id.")
    return matching[0]


def _each(client: "SyncPrefectClient", state: str = "") -> "Iterator[FlowRun]":
    """Every run that the server knows, or each in a state, the latest first."""
    from prefect.client.schemas.objects import StateType

    from flows.service.run_data import runs_in

    return runs_in(client, [StateType(state.upper())] if state else list(StateType))
