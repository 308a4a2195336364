"""The remix as a service: its runs name what is registered (an upload, an installed voice), never a path or a URL."""

import errno
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State, StateDetails
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows.options import RemixOptions
from flows.parameters import spread
from flows.remix import modules_by_name, remix_of, weights_used
from flows.separators import usable
from models.core.errors import BadInput
from models.core.registry import home
from tasks.cache.caching import stage_modules
from tasks.cache.fingerprint import code_digest, digest_of
from tasks.cache.in_use import alone, claim_run, in_use
from tasks.cache.remote_store import StoreUnreachable, shared
from tasks.engine.resident import EngineLost
from tasks.runs.remixes import is_run, manifests_last, note_remixed, remixed_by, remixes_folder, remixes_of
from tasks.runs.uploads import find_upload, take_in

P = ParamSpec("P")

claim_run()

SongName = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def honest(body: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """A flow's body that ends Failed with one sentence where its input, store, engine or a full disk is at fault.

    It is not retriable where the input is at fault: the same would end the same.
    """

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return body(*args, **kwargs)
        except BadInput as reason:
            sentence, retriable = str(reason), False
        except (EngineLost, StoreUnreachable) as reason:
            sentence, retriable = str(reason), True
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            sentence, retriable = f"There is no room left to work in {home()}: {error.strerror}.", True
        get_run_logger().error("%s", sentence)
        return Failed(message=sentence, state_details=StateDetails(retriable=retriable))

    return run


def _run_name() -> str:
    """The song's own name and the voice's, as far as the parameters name any."""
    given = flow_run.parameters
    try:
        title = find_upload(str(given.get("song"))).title
    except (BadInput, StoreUnreachable):
        title = "unknown song"
    return f"{title} ({given.get('voice')})"


@flow(name="remix", flow_run_name=_run_name, persist_result=False)
@honest
@spread(RemixOptions)
def remix_song(song: SongName, options: RemixOptions) -> State[Any]:
    """Remix an uploaded song: its voice converted, its band transcribed, continued and rendered anew.

    What is finished is kept: a run that is started again goes on where the last one was.

    Args:
        song: The digest of an uploaded song (64 of 0-9 and a-f), as `remix submit FILE` prints it.
    """
    options.check_registered()
    upload, run_id = find_upload(song), str(flow_run.id)
    out = remixes_folder() / run_id
    with in_use(), alone(f"run-{run_id}"):
        taken = take_in(upload)
        marker = marker_of(taken.audio.sha256, options)
        if remixed_by(marker) == run_id:  # all was done when its process, or the server, was lost
            return Completed(message=f"{upload.title} is remixed.")
        made = remix_of(taken, upload.path, out, options)
        keep_remix(out, run_id, marker)
    words = f"{made.loudness_lufs:.1f} LUFS, true peak {made.true_peak_dbtp:.1f} dBTP"
    return Completed(message=f"{upload.title} is remixed: {words}.")


def marker_of(audio_sha256: str, options: RemixOptions) -> str:
    """The name of the note that a song's sound was remixed with these options, by these weights and by this code."""
    options = options.model_copy(update={"separator": usable(options.separator).separator, "device": "auto"})
    settings = options.stage_settings()
    code = code_digest("flows.remix", "tasks.runs.publish", *stage_modules(), *modules_by_name(options))
    chosen = options.model_dump(exclude={"settings", "instrument", "soundfont", "key_shift"})
    return digest_of([audio_sha256, chosen, asdict(settings), weights_used(options, settings), code])


def keep_remix(out: Path, run_id: str, marker: str) -> None:
    """Put a finished remix into the shared store, if there is one, and note last of all that it is done."""
    if store := shared():
        for path in sorted((p for p in out.rglob("*") if p.is_file()), key=manifests_last):
            store.push(path, f"remixes/{run_id}/{path.relative_to(out)}")
    note_remixed(marker, run_id)


def fetched(run_id: str, out: Path) -> list[Path]:
    """Copy a finished remix's folder into `out`; raises `BadInput` where there is none."""
    import shutil

    if not is_run(run_id):
        raise BadInput(f"{run_id!r} is not the id of a run.")
    folders = remixes_of(run_id)
    if not folders:
        raise BadInput(f"The run {run_id} has left no remix.")
    return [Path(shutil.copytree(folder, _place(folder, out), dirs_exist_ok=True)) for folder in folders]


def _place(remix: Path, out: Path) -> Path:
    """Where a remix is copied to: below `out` by its own name, with a number where another one lies already."""
    manifest, place, number = (remix / "manifest.json").read_bytes(), out / remix.name, 1
    while place.exists():
        there = place / "manifest.json"
        if there.is_file() and there.read_bytes() == manifest:
            break
        number += 1
        place = out / f"{remix.name} ({number})"
    return place
