"""`remix submit`: songs uploaded to the service, and how their runs ended."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from flows.cli.exit import FAULT
from flows.cli.run import AsJson
from flows.cli.runs import message_of, page_of
from flows.command_options import options_of
from flows.options import RemixOptions
from models.core.errors import BadInput

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

console = Console(stderr=True, highlight=False, soft_wrap=True)

GPU = Annotated[bool, typer.Option("--gpu", help="Have a worker of the pool gpu do it.")]

_FOLLOW_EVERY_S = 1.0


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(rich_help_panel="Service")(submit)


@options_of(RemixOptions)
def submit(
    songs: Annotated[list[Path], typer.Argument(help="Audio files.")],
    options: RemixOptions,
    gpu: GPU = False,
    follow: Annotated[bool, typer.Option("--follow", help="Show the progress until all are done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload songs to the service and start a run for each; prints where to watch it. A bad one stops no other."""
    from flows.service.deployments import use_api

    use_api()
    from tasks.cache.remote_store import StoreUnreachable
    from tasks.runs.uploads import hand_in

    options.check_registered()
    made, refused = [], []
    for song in songs:
        try:
            upload = hand_in(song)
            made.append(_started(upload.sha256, f"{upload.title} ({options.voice})", options.model_dump(), gpu))
        except (BadInput, StoreUnreachable) as error:
            refused.append(str(error))
            continue
        if not as_json:
            print(f"{made[-1].name}: {page_of(made[-1])}")
    over = [_followed(run) for run in made] if follow else made
    if as_json:
        print(json.dumps([_row(run, follow) for run in over]))
    _end_as(over if follow else [], refused, as_json)


def check_offered(deployment: "DeploymentResponse", parameters: dict[str, Any]) -> None:
    """Raise `BadInput` for what is installed here and not known to the server yet, whose words for it are for programs.

    What a deployment's form offers was installed when it was deployed.
    """
    properties = (deployment.parameter_openapi_schema or {}).get("properties", {})
    for name, value in parameters.items():
        offered = properties.get(name, {}).get("enum")
        if offered and value not in offered:
            kind = name.replace("_", " ")
            raise BadInput(
                f"The server does not know the {kind} {value!r} yet; tell it what is installed: remix deploy"
            )


def _started(song: str, name: str, parameters: dict[str, Any], gpu: bool) -> "FlowRun":
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

    deployment = "remix/remix-gpu" if gpu else "remix/remix"
    with get_client(sync_client=True) as client:
        try:
            registered = client.read_deployment_by_name(deployment)
            check_offered(registered, parameters)
            return client.create_flow_run_from_deployment(
                registered.id, parameters=parameters | {"song": song}, name=name
            )
        except ObjectNotFound:
            raise BadInput(f"The server has no deployment {deployment}; make it with: remix deploy") from None
        except PrefectHTTPStatusError as error:
            if error.response.status_code not in (409, 422):
                raise
            raise BadInput(f"The server refuses this run: {error.response.text[:300]}") from None


def _row(run: "FlowRun", over: bool) -> dict[str, str]:
    row = {"id": str(run.id), "name": run.name, "page": page_of(run)}
    return row | {"state": str(run.state_name), "message": message_of(run)} if over else row


def _followed(run: "FlowRun") -> "FlowRun":
    """Show a run's progress, as its artifacts tell it, until it is over."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType
    from prefect.client.schemas.sorting import ArtifactSort

    from flows.cli.live import shown
    from tasks.runs.progress import tell

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


def _end_as(over: "list[FlowRun]", refused: list[str], quiet: bool) -> None:
    """Say how the runs ended; exits 1 where one was cancelled or is our fault, else 2 where a song is at fault."""
    reasons, faults = list(refused), 0
    for run in over:
        if run.state and run.state.is_completed():
            if not quiet:
                print(f"{run.name}: {message_of(run)}\n  remix runs fetch {str(run.id)[:8]} --out DIR")
            continue
        reasons.append(f"{run.name}: {run.state_name}. {message_of(run)}".strip())
        faults += not (run.state and run.state.state_details.retriable is False)
    if faults:
        typer.echo("\n".join(reasons), err=True)
        raise typer.Exit(FAULT)
    if reasons:
        raise BadInput("\n".join(dict.fromkeys(reasons)))
