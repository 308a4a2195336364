"""`remix submit` and `remix runs`: songs handed to the service, and what became of them."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.console import Console

from flows.cli.choosing import Wanted
from flows.cli.remixing import AsJson
from flows.spreading import spread
from models.errors import BadInput

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

console = Console(stderr=True, highlight=False, soft_wrap=True)

RunId = Annotated[str, typer.Argument(help="A run's id, or enough of its beginning.")]
GPU = Annotated[bool, typer.Option("--gpu", help="Have a worker of the pool gpu do it.")]

_FOLLOW_EVERY_S = 1.0


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(rich_help_panel="Service")(submit)
    group = typer.Typer(help="The service's runs: without a command, the latest ones.", invoke_without_command=True)
    group.callback()(runs)
    for command in (show, cancel, retry, fetch):
        group.command()(command)
    app.add_typer(group, name="runs", rich_help_panel="Service")


@spread
def submit(
    songs: Annotated[list[Path], typer.Argument(help="Audio files.")],
    wanted: Wanted,
    gpu: GPU = False,
    follow: Annotated[bool, typer.Option("--follow", help="Show the progress until all are done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload songs to the service and start a run for each; prints where to watch it."""
    from flows.service import use_api

    use_api()
    from tasks.uploads import hand_in

    parameters = wanted.parameters()
    uploads = [hand_in(song) for song in songs]
    made = [_started(upload.sha256, f"{upload.title} sung by {wanted.voice}", parameters, gpu) for upload in uploads]
    if as_json:
        print(json.dumps([{"id": str(run.id), "name": run.name, "page": page_of(run)} for run in made]))
    else:
        for run in made:
            print(f"{run.name}: {page_of(run)}")
    if follow:
        _end_as([_followed(run) for run in made])


def runs(context: typer.Context, as_json: AsJson = False) -> None:
    """Name the latest runs, the newest first; what the clock will start later is left out."""
    if context.invoked_subcommand:
        return
    from flows.service import use_api

    use_api()
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    from flows.cli.housekeeping import show_rows

    with get_client(sync_client=True) as client:
        latest = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200)
    found = [run for run in latest if not (run.auto_scheduled and run.state_type == StateType.SCHEDULED)][:30]
    rows = [
        {
            "id": str(run.id) if as_json else str(run.id)[:8],
            "name": run.name,
            "state": run.state_name,
            "seconds": round(run.total_run_time.total_seconds()),
            "message": (run.state.message if run.state else None) or "",
        }
        for run in found
    ]
    show_rows(rows, as_json)


def show(run_id: RunId, as_json: AsJson = False) -> None:
    """Tell all of a run: its state with its reason, its parameters and stages, and where its page is."""
    from flows.cli.housekeeping import show_rows

    run = _found(run_id)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        stages = client.read_task_runs(flow_run_filter=wanted, limit=200)
    message = (run.state.message if run.state else None) or ""
    if as_json:
        told: dict[str, Any] = {"id": str(run.id), "name": run.name, "state": run.state_name, "message": message}
        names = [{"name": stage.name, "state": stage.state_name} for stage in stages]
        print(json.dumps(told | {"page": page_of(run), "parameters": run.parameters, "stages": names}))
        return
    print(f"{run.name}: {run.state_name}\n{message}\n{page_of(run)}")
    for name, value in run.parameters.items():
        print(f"  {name}: {value}")
    rows = [
        {"stage": stage.name, "state": stage.state_name, "seconds": round(stage.total_run_time.total_seconds(), 1)}
        for stage in sorted(stages, key=lambda stage: str(stage.start_time))
    ]
    show_rows(rows, as_json=False)


def cancel(run_id: RunId) -> None:
    """Stop a run; what it finished is kept."""
    run = _found(run_id)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import State, StateType
    from prefect.states import Cancelled, Cancelling

    if not run.state or run.state.is_final():
        raise BadInput(f"The run {run.name!r} is over already: {run.state_name}.")
    waits = run.state.type == StateType.SCHEDULED
    state: State[Any] = Cancelled(message="Cancelled before it began.") if waits else Cancelling()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, state)
    print(f"{run.name}: {state.name}")


def retry(run_id: RunId) -> None:
    """Start a run that failed or was cancelled again, under its own id; what it finished is not done again."""
    run = _found(run_id)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import State
    from prefect.states import Scheduled

    if not run.state or run.state.is_completed() or not run.state.is_final():
        raise BadInput(f"The run {run.name!r} cannot be tried again: {run.state_name}.")
    state: State[Any] = Scheduled(name="AwaitingRetry", message="It is tried again, as was asked for.")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, state, force=True)
    print(f"{run.name}: {state.name}")


def fetch(
    run_id: RunId, out: Annotated[Path, typer.Option(help="The folder that gets the song's folder.")] = Path("remixes")
) -> None:
    """Copy a finished remix out of the service's store."""
    run = _found(run_id)
    from flows.serving import fetched

    if run.state and not run.state.is_completed():
        raise BadInput(f"The run {run.name!r} has no remix: {run.state_name}. {run.state.message or ''}".strip())
    for folder in fetched(str(run.id), out):
        print(folder)


def page_of(run: "FlowRun") -> str:
    """The address of a run's page in the UI."""
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    ui = settings.ui_url or str(settings.api.url).removesuffix("/api")
    return f"{ui}/runs/flow-run/{run.id}"


def _started(song: str, name: str, parameters: dict[str, Any], gpu: bool) -> "FlowRun":
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

    deployment = "remix/remix-gpu" if gpu else "remix/remix"
    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=parameters | {"song": song}, name=name)
        except ObjectNotFound:
            raise BadInput(f"The server has no deployment {deployment}; make it with: remix deploy") from None
        except PrefectHTTPStatusError as error:
            raise BadInput(f"The server refuses this run: {error.response.text[:300]}") from None


def _found(run_id: str) -> "FlowRun":
    """The run whose id begins so; raises `BadInput` for none or several."""
    from flows.service import use_api

    use_api()
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        if len(run_id) == 36:
            try:
                return client.read_flow_run(UUID(run_id))
            except (ObjectNotFound, ValueError):
                raise BadInput(f"There is no run {run_id}.") from None
        latest = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200)
    matching = [run for run in latest if str(run.id).startswith(run_id)]
    if len(matching) != 1:
        raise BadInput(f"{len(matching) or 'No'} runs begin with {run_id!r}; `remix runs` names them.")
    return matching[0]


def _followed(run: "FlowRun") -> "FlowRun":
    """Show a run's progress, as its artifacts tell it, until it is over."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType
    from prefect.client.schemas.sorting import ArtifactSort

    from flows.cli.live import shown
    from tasks.progress import tell

    bars = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]), type=ArtifactFilterType(any_=["progress"])
    )
    with shown(console), get_client(sync_client=True) as client:
        while True:
            run = client.read_flow_run(run.id)
            for artifact in reversed(
                client.read_artifacts(artifact_filter=bars, sort=ArtifactSort.CREATED_DESC, limit=100)
            ):
                tell(artifact.description or "stage", float(str(artifact.data)) / 100)
            if run.state and run.state.is_final():
                return run
            time.sleep(_FOLLOW_EVERY_S)


def _end_as(over: "list[FlowRun]") -> None:
    """Say how the runs ended; raises `BadInput` with the reasons of those that failed."""
    reasons = []
    for run in over:
        message = (run.state.message if run.state else None) or ""
        if run.state and run.state.is_completed():
            print(f"{run.name}: {message}")
            print(f"  remix runs fetch {str(run.id)[:8]} --out DIR")
        else:
            reasons.append(f"{run.name}: {run.state_name}. {message}")
    if reasons:
        raise BadInput("\n".join(reasons))
