"""`remix submit` and `remix runs` before a server that is none: what is asked of it, and how the command ends."""

import json
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
import typer
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateDetails
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Completed, Failed, Scheduled

from flows.cli import runs
from flows.cli.submit import submit
from models.core.errors import BadInput
from tests.support.fake_client import talks_to
from tests.support.hostile import sound

A_BAD_SONG = Failed(message="It is truncated.", state_details=StateDetails(retriable=False))

pytestmark = pytest.mark.usefixtures("home", "client")


class Client:
    """A Prefect client of a server whose runs are over as soon as they are asked for, as `ends` says song by song."""

    def __init__(self) -> None:
        self.known: list[FlowRun] = []
        self.ends: dict[str, State] = {}

    def read_deployment_by_name(self, name: str) -> SimpleNamespace:
        voices = {"voice": {"enum": ["none", "world"]}}
        return SimpleNamespace(id=uuid4(), parameter_openapi_schema={"properties": voices})

    def create_flow_run_from_deployment(self, deployment: UUID, parameters: dict[str, Any], name: str) -> FlowRun:
        self.known.append(FlowRun(id=uuid4(), flow_id=uuid4(), name=name, parameters=parameters, state=Scheduled()))
        return self.known[-1]

    def read_flow_run(self, run_id: UUID) -> FlowRun:
        assert isinstance(run_id, UUID), "for any other a server has words of its own"
        for run in self.known:
            if run.id == run_id:
                state = self.ends.get(run.name, Completed(message="It is remixed."))
                return run.model_copy(update={"state": state, "state_name": state.name, "state_type": state.type})
        raise ObjectNotFound(Exception(f"no {run_id}"))

    def read_flow_runs(self, flow_run_filter: FlowRunFilter, sort: str, limit: int, offset: int) -> list[FlowRun]:
        types = flow_run_filter.state.type.any_
        return [run for run in self.known if run.state_type in types][offset : offset + min(limit, 200)]

    def set_flow_run_state(self, run_id: UUID, state: State, force: bool = False) -> None:
        self.ends[self.read_flow_run(run_id).name] = state

    def read_artifacts(self, **wanted: Any) -> list[Any]:
        return []


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """What commands of the test talk to in place of a server."""
    return talks_to(monkeypatch, Client())


@pytest.mark.parametrize("run_id", ["z" * 36, str(uuid4())])
def test_an_id_that_is_none_names_no_run(run_id):
    with pytest.raises(BadInput, match=f"There is no run {run_id}"):
        runs.show(run_id)


def test_one_bad_file_stops_no_other_and_each_is_named(client, tmp_path, capsys):
    songs = [sound(tmp_path / "one.wav"), tmp_path / "none.wav", tmp_path, sound(tmp_path / "two.wav", seconds=1.0)]
    with pytest.raises(BadInput) as refused:
        submit(songs, voice="none")
    assert [run.name for run in client.known] == ["one (none)", "two (none)"]
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [r.name for r in client.known]
    assert [line.split(" ")[0] for line in str(refused.value).splitlines()] == [str(songs[1]), str(tmp_path)]


@pytest.mark.parametrize(
    ("ends", "error"),
    [
        ([Completed(message="It is remixed.")], None),
        ([A_BAD_SONG, Completed()], BadInput),
        ([Cancelled()], typer.Exit),
        ([A_BAD_SONG, Failed(message="Flow run encountered an exception: ValueError")], typer.Exit),
    ],
)
def test_following_prints_one_document_and_ends_as_the_runs_did(client, tmp_path, capsys, ends, error):
    songs = [sound(tmp_path / f"{n}.wav", seconds=1.0 + n) for n in range(len(ends))]
    client.ends = {f"{n} (none)": end for n, end in enumerate(ends)}
    if error:
        with pytest.raises(error) as ended:
            submit(songs, voice="none", follow=True, as_json=True)
        assert getattr(ended.value, "exit_code", 2) == (2 if error is BadInput else 1)
    else:
        submit(songs, voice="none", follow=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in told] == [end.name for end in ends]


def test_a_voice_that_the_server_was_not_told_of_is_said_with_what_helps(client, tmp_path):
    with pytest.raises(BadInput, match=r"the voice 'lj' yet; .*remix deploy$"):
        submit([sound(tmp_path / "one.wav")], voice="lj")
    assert not client.known


def test_two_remixes_of_one_song_are_fetched_into_a_folder_each(client, tmp_path, home):
    for voice in ("none", "world"):
        run = client.create_flow_run_from_deployment(uuid4(), {}, f"song sung by {voice}")
        folder = home / "remixes" / str(run.id) / "song"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"voice": voice}))
    for run in (*client.known, client.known[0]):
        runs.fetch(str(run.id), tmp_path / "out")
    found = {path.parent.name: path.read_text() for path in (tmp_path / "out").rglob("manifest.json")}
    assert found == {"song": '{"voice": "none"}', "song (2)": '{"voice": "world"}'}


@pytest.fixture
def many(client) -> list[FlowRun]:
    """More runs than a server names at once, every tenth of which failed."""
    for number in range(450):
        run = client.create_flow_run_from_deployment(uuid4(), {}, f"song {number}")
        run.state = Completed() if number % 10 else Failed(message="No song.")
        run.state_type = run.state.type
    return client.known


def named(capsys, **wanted: Any) -> list[str]:
    runs.runs(SimpleNamespace(invoked_subcommand=None), **({"limit": 30, "state": "", "as_json": True} | wanted))
    return [row["name"] for row in json.loads(capsys.readouterr().out)]


def test_as_many_runs_are_named_as_are_asked_for_and_those_in_one_state(many, capsys):
    assert named(capsys) == [run.name for run in many[:30]]
    assert len(named(capsys, limit=1000)) == 450
    assert named(capsys, state="failed", limit=42) == [f"song {number}" for number in range(0, 420, 10)]
    with pytest.raises(BadInput, match="no state named 'faild'; did you mean 'failed'"):
        named(capsys, state="faild")


def test_any_run_is_found_by_the_beginning_of_its_id(many, capsys):
    old = many[-1]
    runs.retry(str(many[440].id)[:13], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told == {"id": str(many[440].id), "name": "song 440", "state": "AwaitingRetry"}
    with pytest.raises(BadInput, match="'song 449' is over already"):
        runs.cancel(str(old.id)[:13].upper())
    with pytest.raises(BadInput, match="No run begins with 'x'"):
        runs.show("x")
    with pytest.raises(BadInput, match="Several runs begin with ''"):
        runs.show("")
