"""Finished remixes over HTTP: who gets them, in which pieces, and that nothing else is ever served."""

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from flows.deployments.remix import fetched, keep_remix
from flows.service.web import with_remixes
from tasks.cache import remote_store
from tasks.cache.remote_store import RemoteStore, StoreUnreachable
from tasks.runs.remixes import remixes_folder

SECRET = "remix:a ßecret"
RUN = "0190a3b2-7c44-7d6e-8f00-0123456789ab"
KNOWN = {"Authorization": "Basic " + base64.b64encode(SECRET.encode()).decode()}
SOUND = bytes(range(256)) * 40

pytestmark = pytest.mark.usefixtures("home")


@contextmanager
def served(secret: str) -> Iterator[int]:
    """The port of a web server with remixes beside an app that answers everything else."""

    async def prefect(scope, receive, send):
        await PlainTextResponse("Prefect")(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(with_remixes(prefect, secret), port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(SECRET) as found:
        yield found


def remix(folder: Path, title: str = "a song (2)") -> Path:
    """A finished remix below a run's folder."""
    made = folder / title
    (made / "stems").mkdir(parents=True)
    (made / "mix.mp3").write_bytes(SOUND)
    (made / "stems" / "drums.flac").write_bytes(b"drums")
    (made / "report.html").write_text("<title>A report</title>")
    (made / "manifest.json").write_text("{}")
    return made


def asked(port: int, path: str, headers: dict[str, str] = KNOWN, method: str = "GET") -> tuple[int, dict, bytes]:
    """Status, headers and body of an answer; the path goes over the wire as it is written."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_each_file_of_a_remix_is_served_as_what_it_is_and_prefect_beside_it(port):
    remix(remixes_folder() / RUN)
    for name, kind in (
        ("mix.mp3", "audio/mpeg"),
        ("report.html", "text/html; charset=utf-8"),
        ("stems/drums.flac", "audio/flac"),
    ):
        status, headers, _ = asked(port, f"/remixes/{RUN}/a%20song%20%282%29/{name}")
        assert (status, headers["content-type"], headers["x-content-type-options"]) == (200, kind, "nosniff")
    assert asked(port, f"/remixes/{RUN}/a%20song%20%282%29/mix.mp3")[2] == SOUND
    status, headers, body = asked(port, f"/remixes/{RUN}/a%20song%20%282%29/mix.mp3", method="HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(SOUND)), b"")
    assert asked(port, f"/remixes/{RUN}/a%20song%20%282%29/mix.mp3", method="POST")[0] == 405
    assert asked(port, "/runs/flow-run/1", {})[2] == b"Prefect"


def test_a_player_gets_the_range_that_it_asks_for(port):
    remix(remixes_folder() / RUN)
    path = f"/remixes/{RUN}/a%20song%20%282%29/mix.mp3"
    assert asked(port, path)[1]["accept-ranges"] == "bytes"
    status, headers, body = asked(port, path, KNOWN | {"Range": "bytes=100-299"})
    assert (status, body) == (206, SOUND[100:300])
    assert headers["content-range"] == f"bytes 100-299/{len(SOUND)}"
    assert asked(port, path, KNOWN | {"Range": "bytes=-5"})[2] == SOUND[-5:]
    assert asked(port, path, KNOWN | {"Range": f"bytes={len(SOUND)}-"})[0] == 416


def encoded(words: str) -> str:
    return base64.b64encode(words.encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic"},
        {"Authorization": "Basic not base64!"},
        {"Authorization": f"Basic {encoded('remix:other')}"},
        {"Authorization": f"Basic {encoded('')}"},
        {"Authorization": f"Bearer {encoded(SECRET)}"},
    ],
)
def test_without_the_secret_a_browser_is_told_to_ask_for_it(port, headers):
    remix(remixes_folder() / RUN)
    for path in (f"/remixes/{RUN}/a%20song%20%282%29/mix.mp3", "/remixes/none/there.mp3"):
        status, told, body = asked(port, path, headers)
        assert status == 401
        assert told["www-authenticate"].startswith("Basic realm=")
        assert SOUND[:100] not in body


def test_where_there_is_no_secret_none_is_asked_for(port):
    remix(remixes_folder() / RUN)
    with served("") as port:
        assert asked(port, f"/remixes/{RUN}/a%20song%20%282%29/mix.mp3", {})[2] == SOUND


def test_no_path_leaves_a_runs_folder(port, home, tmp_path):
    """Up, absolute, through links, in any spelling: 404, while the run's own files are there."""
    made = remix(remixes_folder() / RUN)
    other, outside = str(uuid4()), tmp_path / "outside"
    outside.mkdir()
    for hidden in (outside / "hidden.mp3", home / "hidden.mp3", remixes_folder() / "hidden.mp3"):
        hidden.write_bytes(b"hidden")
    (made / "link.mp3").symlink_to(outside / "hidden.mp3")
    (made / "folder").symlink_to(outside)
    (made / "ring.mp3").symlink_to(made / "ring.mp3")
    (made / "notes.txt").write_text("hidden")
    (remixes_folder() / other).symlink_to(remixes_folder() / RUN)
    (remixes_folder() / str(uuid4())).mkdir()
    up, inside = f"/remixes/{RUN}", f"/remixes/{RUN}/a%20song%20%282%29"
    for path in (
        f"{up}/../hidden.mp3",
        f"{up}/../../hidden.mp3",
        f"{up}/%2e%2e/hidden.mp3",
        f"{up}/..%2fhidden.mp3",
        f"{up}/%2e%2e%2f%2e%2e%2fhidden.mp3",
        f"{inside}/stems/../../../hidden.mp3",
        f"{up}/..%5chidden.mp3",
        f"{up}/{outside}/hidden.mp3",
        f"{up}/{str(outside).replace('/', '%2f')}%2fhidden.mp3",
        f"{up}/%2f{outside}/hidden.mp3",
        f"{inside}/link.mp3",
        f"{inside}/folder/hidden.mp3",
        f"{inside}/ring.mp3",
        f"{inside}/mix.mp3%00.mp3",
        f"{inside}/notes.txt",
        f"{inside}/stems.mp3",
        f"{inside}/",
        f"{inside}/{'a' * 3000}.mp3",
        f"/remixes/{other}/a%20song%20%282%29/mix.mp3",
        "/remixes/../hidden.mp3",
        "/remixes/..%2fhidden.mp3",
        "/remixes/./hidden.mp3",
        "/remixes//hidden.mp3",
        f"/remixes/{RUN.upper()}/a%20song%20%282%29/mix.mp3",
        f"/remixes/{uuid4()}/a%20song%20%282%29/mix.mp3",
    ):
        status, _, body = asked(port, path)
        assert (status, b"hidden" in body) == (404, False), path
    assert asked(port, f"{inside}/mix.mp3")[0] == 200


@pytest.fixture
def kept_elsewhere(tmp_path, monkeypatch) -> Path:
    """A remix that another machine made and put into the shared store; returns the store's folder."""
    monkeypatch.setenv("REMIX_STORE", f"file://{tmp_path}/shared")
    remote_store._opened.cache_clear()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("REMIX_HOME", str(tmp_path / "other"))
        remix(remixes_folder() / RUN)
        keep_remix(remixes_folder() / RUN, RUN, "marker")
    return tmp_path / "shared"


def test_what_another_machine_made_is_served_from_the_shared_store(port, kept_elsewhere):
    assert not remixes_folder().exists()
    assert asked(port, f"/remixes/{uuid4()}/a%20song%20%282%29/mix.mp3")[0] == 404
    assert asked(port, f"/remixes/{RUN}/a%20song%20%282%29/mix.mp3")[2] == SOUND
    assert asked(port, f"/remixes/{RUN}/a%20song%20%282%29/stems/drums.flac")[2] == b"drums"


def test_a_remix_that_was_taken_over_in_part_is_taken_over_whole_the_next_time(
    port, kept_elsewhere, tmp_path, monkeypatch
):
    path, pull = f"/remixes/{RUN}/a%20song%20%282%29/mix.mp3", RemoteStore.pull
    pulled: list[str] = []

    def cut_off(store, key, target):
        if len(pulled) == 2:
            raise StoreUnreachable("The shared store cannot be reached.")
        pulled.append(key)
        return pull(store, key, target)

    with monkeypatch.context() as broken:
        broken.setattr(RemoteStore, "pull", cut_off)
        status, _, body = asked(port, path)
        assert (status, body) == (503, b"The shared store cannot be reached.")
    assert asked(port, path)[2] == SOUND
    (folder,) = fetched(RUN, tmp_path / "out")
    assert len([one for one in folder.rglob("*") if one.is_file()]) == 4
    assert json.loads((folder / "manifest.json").read_text()) == {}
