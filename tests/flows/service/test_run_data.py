"""Old remixes and uploads, and a run that is removed: what goes, what is spared, here and in the shared store."""

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Running, Scheduled

from flows.cli import runs
from flows.deployments.maintenance import collect_cache
from flows.deployments.remix import keep_remix
from flows.service.run_data import clear_old, remove_run
from models.core.errors import BadInput
from tasks.cache import remote_store
from tasks.cache.in_use import alone
from tasks.runs.remixes import remixed_by, remixes_folder
from tasks.runs.uploads import find_upload, hand_in

DAY_S = 86_400.0

pytestmark = pytest.mark.usefixtures("prefect_server", "home")


@pytest.fixture
def shared(tmp_path, monkeypatch) -> Path:
    """A folder that machines share."""
    monkeypatch.setenv("REMIX_STORE", f"file://{tmp_path}/shared")
    remote_store._opened.cache_clear()
    return tmp_path / "shared"


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
    with get_client(sync_client=True) as found:
        yield found


@flow(name="something with a song")
def some_flow(song: str = "", songs: tuple[str, ...] = ()) -> None:
    """Named by runs of this test, and never run."""


def aged(folder: Path, days: float) -> None:
    """Make every file below a folder so many days old."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - days * DAY_S,) * 2)


def upload(folder: Path, words: str) -> str:
    file = folder / f"{words}.wav"
    file.write_bytes(words.encode())
    return hand_in(file).sha256


def made_by(run_id: str, days: float, shared: Path | None = None) -> None:
    """A finished remix of so many days ago."""
    folder = remixes_folder() / run_id / "a song"
    folder.mkdir(parents=True)
    (folder / "mix.mp3").write_bytes(bytes(1000))
    (folder / "manifest.json").write_text("{}")
    keep_remix(folder.parent, run_id, f"marker-{run_id}")
    for root in (remixes_folder() / run_id, *([shared / "remixes" / run_id] if shared else [])):
        aged(root, days)


def left(root: Path, kind: str) -> set[str]:
    return {path.parent.name if kind == "uploads" else path.parts[-3] for path in files(root / kind)}


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_of_old_uploads_those_go_that_nothing_still_to_come_names(client, tmp_path, shared, home):
    words = ("waits", "runs", "crashed", "of a batch", "of a schedule", "done", "named by nothing", "handed in again")
    digests = {one: upload(tmp_path, one) for one in words}
    for name, state in (("waits", Scheduled()), ("runs", Running()), ("done", Completed())):
        client.create_flow_run(some_flow, parameters={"song": digests[name]}, state=state)
    crashed = client.create_flow_run(some_flow, parameters={"song": digests["crashed"]}, state=Running())
    client.set_flow_run_state(crashed.id, Crashed(), force=True)
    made = client.create_deployment(
        client.create_flow(some_flow),
        f"of uploads {uuid4()}",
        parameters={"songs": [digests["of a batch"]]},
        schedules=[
            DeploymentScheduleCreate(
                schedule=CronSchedule(cron="0 2 * * *"), parameters={"song": digests["of a schedule"]}, active=False
            )
        ],
    )
    for root in (home, shared):
        aged(root / "uploads", 40)
    assert clear_old(client, remix_days=0, upload_days=0).uploads == 0
    assert clear_old(client, remix_days=0, upload_days=41).uploads == 0
    upload(tmp_path, "handed in again")
    assert clear_old(client, remix_days=0, upload_days=30).uploads == 2
    spared = {digest for name, digest in digests.items() if name not in ("done", "named by nothing")}
    assert left(home, "uploads") == left(shared, "uploads") == spared
    client.delete_deployment(made)


def test_an_upload_that_was_used_lately_is_not_old_though_it_lies_in_the_store_for_long(client, tmp_path, shared, home):
    digest = upload(tmp_path, "used lately")
    for root in (home, shared):
        aged(root / "uploads", 40)
    find_upload(digest)
    assert clear_old(client, remix_days=0, upload_days=30).uploads == 0
    assert len(files(shared / "uploads")) == 1


@pytest.mark.parametrize("has_store", [True, False])
def test_of_old_remixes_those_go_whose_run_is_over(client, home, tmp_path, monkeypatch, request, has_store):
    shared = request.getfixturevalue("shared") if has_store else None
    over, unknown, young = (str(client.create_flow_run(some_flow, state=Completed()).id) for _ in range(3))
    works, waits = (str(client.create_flow_run(some_flow, state=state).id) for state in (Running(), Scheduled()))
    locked = str(uuid4())
    for run_id in (over, unknown, works, waits, locked):
        made_by(run_id, 40, shared)
    made_by(young, 20, shared)
    (remixes_folder() / "not a run" / "x").mkdir(parents=True)
    (remixes_folder() / "not a run" / "x" / "manifest.json").write_text("{}")
    aged(remixes_folder() / "not a run", 40)
    client.delete_flow_run(unknown)
    with alone_in_a_thread(f"run-{locked}"):
        cleared = clear_old(client, remix_days=30, upload_days=0)
    assert (cleared.remixes, cleared.uploads, cleared.bytes) == (2, 0, 2 * 1002)
    assert left(home, "remixes") == {works, waits, locked, young, "not a run"}
    if shared:
        assert left(shared, "remixes") == {works, waits, locked, young}
    assert remixed_by(f"marker-{over}") == over, "no batch makes it again because it was old"


@contextmanager
def alone_in_a_thread(name: str):
    """The lock of a run, held as its process holds it."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with alone(name):
            held.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    yield
    over.set()
    thread.join()


@flow
def ran(days: float, shared: Path) -> str:
    """A run that left a remix and something on its page."""
    from prefect.runtime import flow_run

    create_markdown_artifact("It is remixed.")
    made_by(str(flow_run.id), days, shared)
    return str(flow_run.id)


def test_a_removed_run_leaves_nothing(client, shared, home, capsys):
    first, second, other = ran(0, shared), ran(0, shared), ran(0, shared)
    runs.remove([first[:13], second, second[:20]])
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()] == ["removed", "removed"]
    assert left(home, "remixes") == left(shared, "remixes") == {other}
    for gone in (first, second):
        with pytest.raises(ObjectNotFound):
            client.read_flow_run(gone)
        shown = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[gone]))
        assert not client.read_artifacts(artifact_filter=shown)
        assert remixed_by(f"marker-{gone}") is None
    assert remixed_by(f"marker-{other}") == other
    assert {path.name for path in files(shared / "remixed")} == {f"marker-{other}.json"}


def test_a_run_that_is_not_over_is_refused_and_the_others_are_removed(client, shared, home):
    over = client.create_flow_run(some_flow, state=Cancelled())
    working = [client.create_flow_run(some_flow, state=state) for state in (Running(), Scheduled(), Cancelling())]
    locked = client.create_flow_run(some_flow, state=Completed())
    for run in (over, *working, locked):
        made_by(str(run.id), 0, shared)
    with alone_in_a_thread(f"run-{locked.id}"), pytest.raises(BadInput) as refused:
        runs.remove([str(run.id) for run in (*working, over, locked)])
    assert str(refused.value).count("is not over") == 4
    assert left(home, "remixes") == left(shared, "remixes") == {str(run.id) for run in (*working, locked)}
    remove_run(client, locked)
    assert not (home / "remixes" / str(locked.id)).exists()


def test_the_nightly_collection_takes_old_remixes_only_where_it_was_asked_to(client, shared, home):
    run_id = str(client.create_flow_run(some_flow, state=Completed()).id)
    made_by(run_id, 40, shared)
    assert collect_cache(return_state=True).is_completed()
    assert left(home, "remixes") == {run_id}
    ended = collect_cache(limit_gb=1.0, remix_days=30, upload_days=30, return_state=True)
    assert ended.message == (
        "removed of old: 0.00 GB; removed here: 0.00 GB; removed from the shared store: 0.00 GB; kept here: 0.00 GB."
    )
    assert not left(home, "remixes") | left(shared, "remixes")
