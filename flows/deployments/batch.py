"""Batches: every song of a registered folder remixed, each by a run of its own; one song's failure stops no other."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows.deployments.remix import honest, marker_of, remix_song
from flows.options import RemixOptions
from flows.parameters import spread
from flows.service.clusters import Engine, task_runner
from models.core.errors import BadInput
from tasks.runs.folders import songs_in
from tasks.runs.remixes import remixed_by
from tasks.runs.uploads import Upload, decoded_apart, hand_in

POLL_S = 5.0

FolderName = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$")]
AtOnce = Annotated[int, Field(ge=1, le=64)]


@dataclass(frozen=True)
class Outcome:
    """What became of one song of a batch: `state` is remixed, skipped or failed, `why` a sentence, `run` its id."""

    song: str
    state: str
    why: str = ""
    run: str = ""


@flow(name="batch-remix", flow_run_name="{folder} ({voice})", persist_result=False)
@honest
@spread(RemixOptions)
def batch_remix(
    options: RemixOptions,
    folder: FolderName = "inbox",
    songs: list[str] = [],  # noqa: B006  # Prefect shows it in the form; nothing writes into it
    at_once: AtOnce = 2,
    deployment: Literal["remix", "remix-gpu"] = "remix",
    engine: Engine = "pool",
) -> State[Any]:
    """Remix every song of a folder, each by a run of its own on the work pool, at most so many at once.

    A song whose sound was remixed with these choices already is skipped, whatever its file is called.

    Args:
        folder: The name of a registered folder: inbox, or one that `remix folders add` or `remix batch add` named.
        songs: Digests of uploaded songs, instead of a folder's; leave empty for the folder.
        at_once: How many songs of this batch are worked on at a time.
        deployment: Which pool's workers remix: remix for cpu, remix-gpu for gpu.
        engine: Who works: the work pool's workers, or a cluster of this machine by Dask or Ray (extras).
    """
    options.check_registered()
    if engine != "pool":
        cluster = on_cluster.with_options(task_runner=task_runner(engine, at_once))
        return ended(cluster(_listed(folder, songs), options))
    batch = str(flow_run.id)

    def remix(upload: Upload) -> Outcome:
        return _run_of(upload, deployment, options, batch)

    return ended(outcomes(_listed(folder, songs), options, remix, at_once))


@flow(name="batch-on-cluster", persist_result=False, validate_parameters=False)
def on_cluster(songs: list[Path | str], options: RemixOptions) -> list[Outcome]:
    """The songs of a batch as tasks of a cluster, as many at once as it has workers."""
    futures = [song_on_cluster.submit(song, options) for song in songs]
    return [future.result() for future in futures]


@task(name="song", task_run_name="{song}", cache_policy=NO_CACHE, persist_result=False)
def song_on_cluster(song: Path | str, options: RemixOptions) -> Outcome:
    """One song of a batch, remixed in the cluster's process that runs this.

    The remix has a thread of its own: inside this task's transaction its stages would keep nothing, and hold their
    locks, until the whole song is done.
    """

    def remix(upload: Upload) -> Outcome:
        with ThreadPoolExecutor(1) as apart:
            state = apart.submit(remix_song, upload.sha256, **options.model_dump(), return_state=True).result()
        run_id = str(state.state_details.flow_run_id or "")
        return Outcome(upload.title, "remixed" if state.is_completed() else "failed", state.message or "", run_id)

    return _outcome(song, options, remix)


def outcomes(
    songs: Sequence[Path | str], options: RemixOptions, remix: Callable[[Upload], Outcome], at_once: int
) -> list[Outcome]:
    """What becomes of each song, in order, at most `at_once` at a time; `remix(upload)` remixes what must be."""
    bar: Any = None
    done, lock = 0, threading.Lock()
    with suppress(Exception):  # a bar that cannot be drawn ends no batch
        bar = create_progress_artifact(0.0, description="songs")

    def one(song: Path | str) -> Outcome:
        nonlocal done
        outcome = _outcome(song, options, remix)
        with lock, suppress(Exception):
            done += 1
            update_progress_artifact(bar, 100 * done / len(songs))
        return outcome

    with ThreadPoolExecutor(at_once) as pool:
        waiting = [pool.submit(copy_context().run, one, song) for song in songs]
        return [future.result() for future in waiting]


def _outcome(song: Path | str, options: RemixOptions, remix: Callable[[Upload], Outcome]) -> Outcome:
    """One song of a batch; whatever goes wrong with it is its outcome."""
    from tasks.runs.uploads import find_upload

    name = song.name if isinstance(song, Path) else song[:12]
    try:
        upload = hand_in(song) if isinstance(song, Path) else find_upload(song)
        taken = decoded_apart(upload.path)
        known = remixed_by(marker_of(taken.audio.sha256, options))
        if known:
            return Outcome(name, "skipped", "It was remixed with these choices already.", known)
        return replace(remix(upload), song=name)
    except BadInput as error:
        return Outcome(name, "failed", str(error))
    except Exception as error:
        return Outcome(name, "failed", f"{type(error).__name__}: {error}")


def ended(done: Sequence[Outcome]) -> State[Any]:
    """Show the summary table; the batch is Failed only where there were songs and none of them has a remix."""
    rows = [asdict(outcome) for outcome in done]
    counts = {state: sum(o.state == state for o in done) for state in ("remixed", "skipped", "failed")}
    words = ", ".join(f"{count} {state}" for state, count in counts.items())
    create_table_artifact(rows or [{"song": "no songs"}], key="batch", description=f"The batch: {words}")
    if done and counts["failed"] == len(done):
        return Failed(message=f"No song could be remixed: {done[0].why}")
    return Completed(message=f"{words}.")


def _listed(folder: str, songs: list[str]) -> list[Path | str]:
    return list(songs) if songs else list(songs_in(folder))


def _run_of(upload: Upload, deployment: str, options: RemixOptions, batch: str) -> Outcome:
    """A run on the work pool for one song, waited for. A batch that is taken up again finds its own runs."""
    run: Any = run_deployment(
        f"remix/{deployment}",
        parameters={"song": upload.sha256, **options.model_dump()},
        flow_run_name=f"{upload.title} ({options.voice})",
        idempotency_key=f"{batch}-{upload.sha256}",
        poll_interval=POLL_S,
        as_subflow=True,
    )
    message = (run.state.message if run.state else None) or ""
    state = "remixed" if run.state and run.state.is_completed() else "failed"
    return Outcome(upload.title, state, message, str(run.id))
