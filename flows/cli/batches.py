"""`remix batch` and `remix folders`: folders of songs remixed, once or by the clock, as Prefect schedules."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel, Field

from flows.cli.run import AsJson
from flows.cli.submit import check_offered
from flows.command_options import options_of
from flows.options import RemixOptions
from models.core.errors import BadInput

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

Name = Annotated[str, typer.Argument(help="The batch's name.")]
_FLOW = "batch-remix"


class Schedule(BaseModel):
    """When a folder is remixed, and by whom."""

    every: str = Field(description='When, as a cron expression: "0 2 * * *" is each night at two.')
    name: str = Field("", description="The batch's name; by default its folder's.")
    timezone: str = Field("", description="The time zone, as Europe/Berlin; by default this machine's.")
    at_once: int = Field(2, ge=1, le=64, description="How many songs at a time.")
    gpu: bool = Field(False, description="Have workers of the pool gpu remix.")
    replace: bool = Field(False, description="Put it in the place of the batch of that name.")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    batch = typer.Typer(help="Folders of songs remixed by the service, by the clock.", no_args_is_help=True)
    for name, command in BATCH.items():
        batch.command(name)(command)
    app.add_typer(batch, name="batch", rich_help_panel="Service")
    folders = typer.Typer(help="Names for folders that the service's runs may read.", no_args_is_help=True)
    for name, command in FOLDERS.items():
        folders.command(name)(command)
    app.add_typer(folders, name="folders", rich_help_panel="Service")


@options_of(RemixOptions)
@options_of(Schedule)
def add(
    folder: Annotated[Path, typer.Argument(help="A folder of songs; those in folders below it count too.")],
    schedule: Schedule,
    options: RemixOptions,
    as_json: AsJson = False,
) -> None:
    """Have a folder remixed by the clock; what was remixed is skipped, and no batch starts while its last one works."""
    from flows.service.deployments import use_api

    use_api()
    from prefect.client.orchestration import get_client

    from tasks.runs.folders import check_name, register

    every, replace = schedule.every, schedule.replace
    called = schedule.name or re.sub(r"[^A-Za-z0-9 _-]+", "-", folder.resolve().name).strip("-")
    zone = schedule.timezone or _own_zone()
    _check_time(every, zone)
    options.check_registered()
    check_name(called, folder, replace)
    chosen = options.model_dump() | {"folder": called, "at_once": schedule.at_once}
    chosen["deployment"] = "remix-gpu" if schedule.gpu else "remix"
    with get_client(sync_client=True) as client:
        _check_free(client, called, replace)
        _schedule(client, called, every, zone, chosen)
    register(called, folder, replace)
    row = {"batch": called, "folder": str(folder), "voice": options.voice, "every": every, "time zone": zone}
    print(json.dumps(row) if as_json else f"{called}: {folder}, voice {options.voice}, {every} ({zone})")


def list_batches(as_json: AsJson = False) -> None:
    """Name every batch, when it runs, and whether it is paused."""
    from flows.service.deployments import use_api

    use_api()
    from prefect.client.orchestration import get_client

    from flows.cli.maintenance import show_rows

    rows = []
    with get_client(sync_client=True) as client:
        for deployment in _batches(client).values():
            schedule: Any = deployment.schedules[0].schedule if deployment.schedules else None
            rows.append(
                {
                    "batch": deployment.name,
                    "voice": deployment.parameters.get("voice"),
                    "every": getattr(schedule, "cron", ""),
                    "time zone": getattr(schedule, "timezone", ""),
                    "paused": deployment.paused,
                }
            )
    show_rows(rows, as_json)


def run(
    name: Name,
    engine: Annotated[str, typer.Option(help="Who works: the pool's workers, or a cluster: dask or ray.")] = "pool",
    as_json: AsJson = False,
) -> None:
    """Start a batch now, beside its schedule."""
    if engine not in ("pool", "dask", "ray"):
        raise BadInput(f"There is no engine {engine!r}; there are pool, dask and ray.")

    def start(client: Any, deployment: "DeploymentResponse") -> None:
        from flows.cli.runs import page_of

        called = f"{deployment.name} ({deployment.parameters.get('voice')})"
        begun = client.create_flow_run_from_deployment(deployment.id, parameters={"engine": engine}, name=called)
        row = {"id": str(begun.id), "name": begun.name, "page": page_of(begun)}
        print(json.dumps(row) if as_json else f"{page_of(begun)}\n{name}: started")

    _change(name, start)


def pause(name: Name) -> None:
    """Start a batch no more until `remix batch resume`."""
    _change(name, lambda client, deployment: client.set_deployment_paused_state(deployment.id, True), "paused")


def resume(name: Name) -> None:
    """Start a paused batch by the clock again."""
    _change(name, lambda client, deployment: client.set_deployment_paused_state(deployment.id, False), "resumed")


def remove(name: Name) -> None:
    """Forget a batch; its folder and its remixes stay."""
    _change(name, lambda client, deployment: client.delete_deployment(deployment.id), "removed")


def add_folder(
    name: Annotated[str, typer.Argument(help="What runs call it.")],
    folder: Annotated[Path, typer.Argument(help="The folder.")],
) -> None:
    """Give a folder a name that the service's runs may use."""
    from tasks.runs.folders import register

    register(name, folder)


def list_folders(as_json: AsJson = False) -> None:
    """Name every registered folder."""
    from flows.cli.maintenance import show_rows
    from tasks.runs.folders import folders

    show_rows([{"name": name, "folder": str(folder)} for name, folder in folders().items()], as_json)


def remove_folder(name: Annotated[str, typer.Argument(help="A registered name.")]) -> None:
    """Take a folder's name away; the folder stays."""
    from tasks.runs.folders import find_folder, forget

    find_folder(name)
    forget(name)


def _check_free(client: Any, name: str, replace: bool) -> None:
    """Raise `BadInput` for a name that a batch has, unless it is to be replaced, and for the service's own."""
    from prefect.exceptions import ObjectNotFound

    if name == _FLOW:
        raise BadInput(f"The name {name!r} is the service's own; give the batch another by --name.")
    with suppress(ObjectNotFound):
        client.read_deployment_by_name(f"{_FLOW}/{name}")
        if not replace:
            raise BadInput(f"There is a batch {name!r} already; --replace puts this one in its place.")


def _schedule(client: Any, name: str, cron: str, zone: str, parameters: dict[str, Any]) -> None:
    """A deployment of its own for the batch, with one schedule; a run that is due while one works is left out."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.exceptions import ObjectNotFound

    try:
        like = client.read_deployment_by_name(f"{_FLOW}/{_FLOW}")
    except ObjectNotFound:
        raise BadInput(f"The server has no deployment {_FLOW}/{_FLOW}; make it with: remix deploy") from None
    check_offered(like, parameters)
    client.create_deployment(
        flow_id=like.flow_id,
        name=name,
        schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron=cron, timezone=zone), active=True)],
        concurrency_limit=1,
        concurrency_options={"collision_strategy": ConcurrencyLimitStrategy.CANCEL_NEW},
        parameters=parameters,
        description=like.description,
        work_pool_name=like.work_pool_name,
        work_queue_name=like.work_queue_name,
        entrypoint=like.entrypoint,
        path=like.path,
        parameter_openapi_schema=like.parameter_openapi_schema,
        paused=False,
        tags=["batch"],
    )


def _batches(client: Any) -> "dict[str, DeploymentResponse]":
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    batches = client.read_deployments(deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=["batch"])))
    return {deployment.name: deployment for deployment in batches}


def _change(name: str, change: Callable[[Any, "DeploymentResponse"], None], word: str = "") -> None:
    """Change the batch of that name, and say so if there is a word for it; raises `BadInput` where there is none."""
    from flows.service.deployments import use_api

    use_api()
    from prefect.client.orchestration import get_client

    from models.core.errors import unknown_name

    with get_client(sync_client=True) as client:
        known = _batches(client)
        if name not in known:
            raise unknown_name("batch", name, known)
        change(client, known[name])
    if word:
        print(f"{name}: {word}")


def _check_time(every: str, zone: str) -> None:
    """Raise `BadInput` for what is no cron or no time zone."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from cronsim import CronSim, CronSimError

    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise BadInput(f"There is no time zone {zone!r}; write it as Europe/Berlin.") from None
    try:
        CronSim(every, datetime.now())
    except CronSimError:
        raise BadInput(f'{every!r} is no cron expression; "0 2 * * *" is each night at two.') from None


def _own_zone() -> str:
    from tzlocal import get_localzone_name

    return str(get_localzone_name() or "UTC")


BATCH: dict[str, Callable[..., None]] = {
    "add": add,
    "list": list_batches,
    "run": run,
    "pause": pause,
    "resume": resume,
    "remove": remove,
}
FOLDERS: dict[str, Callable[..., None]] = {"add": add_folder, "list": list_folders, "remove": remove_folder}
