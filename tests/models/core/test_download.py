import errno
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import models.core.download
from models.core.download import download
from models.core.errors import BadInput, Cancelled
from models.core.progress import Watch
from models.core.registry import Weights, verified

CONTENT = np.random.default_rng(0).bytes(700_000)


class Hub(ThreadingHTTPServer):
    """Serves CONTENT at /good; cuts each answer after `cut` bytes; notes the ranges it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.cut = len(CONTENT)
        self.ranges: list[str | None] = []
        self.resumes = True


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        hub = self.server
        hub.ranges.append(self.headers.get("Range"))
        if self.path != "/good":
            self.send_error(404)
            return
        asked = self.headers.get("Range") if hub.resumes else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + hub.cut])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Hub]:
    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    monkeypatch.delenv("REMIX_OFFLINE", raising=False)
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def entry(hub: Hub, path: str = "good", **changes) -> Weights:
    url = f"http://127.0.0.1:{hub.server_port}/{path}"
    row = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "bytes": len(CONTENT), "url": url} | changes
    return Weights(
        name="net", kind="separator", file="hub/net.safetensors", licence="MIT", source="", quality="", **row
    )


def test_fetches_once_and_reports(hub):
    reported: list[float] = []
    weights = entry(hub)
    path = download(weights, Watch(reported.append))
    assert path.read_bytes() == CONTENT
    assert verified(weights) == path
    assert reported == sorted(reported)
    assert reported[-1] == 1.0
    assert len(reported) > 2
    download(weights)
    assert len(hub.ranges) == 1
    assert not list(path.parent.glob("*.part"))


def test_goes_on_where_the_connection_was_cut(hub):
    hub.cut = 300_000
    assert download(entry(hub)).read_bytes() == CONTENT
    assert hub.ranges == [None, "bytes=300000-", "bytes=600000-"]


def test_goes_on_in_a_later_run(hub):
    weights = entry(hub)

    def stop_half_way() -> bool:
        part = weights.path.with_name(weights.path.name + ".part")
        return part.exists() and part.stat().st_size > 200_000

    with pytest.raises(Cancelled):
        download(weights, Watch(cancelled=stop_half_way))
    assert not weights.path.exists()
    download(weights)
    assert hub.ranges[1] is not None
    assert weights.path.read_bytes() == CONTENT


def test_starts_over_where_the_server_cannot_resume(hub):
    weights = entry(hub)
    weights.path.parent.mkdir(parents=True)
    weights.path.with_name(weights.path.name + ".part").write_bytes(CONTENT[:1000])
    hub.resumes = False
    assert download(weights).read_bytes() == CONTENT


def test_a_connection_cut_for_ever_is_a_clear_sentence_and_keeps_what_came(hub):
    hub.cut = 100_000
    weights = entry(hub)
    with pytest.raises(BadInput, match="500000 of 700000 bytes are kept"):
        download(weights)
    hub.cut = len(CONTENT)
    assert download(weights).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("change", "word"), [({"sha256": "0" * 64}, "wrong SHA-256"), ({"bytes": 5000}, "longer than the manifest")]
)
def test_what_is_not_in_the_manifest_is_deleted(hub, change, word):
    weights = entry(hub, **change)
    with pytest.raises(BadInput, match=word):
        download(weights)
    assert not weights.path.exists()
    assert not weights.path.with_name(weights.path.name + ".part").exists()


def test_a_size_that_is_not_known_is_asked_and_the_digest_decides(hub):
    hub.cut = 300_000
    assert download(entry(hub, bytes=0)).read_bytes() == CONTENT
    assert hub.ranges == [None, "bytes=300000-", "bytes=600000-"]
    weights = entry(hub, bytes=0, sha256="0" * 64)
    with pytest.raises(BadInput, match="wrong SHA-256"):
        download(weights)


def test_what_had_all_come_before_is_not_asked_for_again_where_its_size_is_not_known(hub):
    weights = entry(hub, bytes=0)
    weights.path.parent.mkdir(parents=True)
    weights.path.with_name(weights.path.name + ".part").write_bytes(CONTENT)
    assert download(weights).read_bytes() == CONTENT
    assert hub.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_damaged_file_is_fetched_again(hub):
    weights = entry(hub)
    download(weights).write_bytes(b"damaged")
    assert download(weights).read_bytes() == CONTENT


def test_a_missing_file_and_no_network_are_clear_sentences(hub):
    with pytest.raises(BadInput, match="404"):
        download(entry(hub, "missing"))
    nobody = entry(hub, url="http://127.0.0.1:9/net")
    with pytest.raises(BadInput, match=r"could not be fetched from 127\.0\.0\.1:9"):
        download(nobody)


def test_only_http_is_asked(hub):
    with pytest.raises(BadInput, match="not http"):
        download(entry(hub, url="file:///etc/passwd"))
    with pytest.raises(BadInput, match="come with the project"):
        download(entry(hub, url=""))


def test_a_full_disk_is_a_clear_sentence(hub, monkeypatch):
    def full(fileno):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(models.core.download.os, "fsync", full)
    with pytest.raises(BadInput, match="no space left"):
        download(entry(hub))


def test_a_missing_file_that_comes_with_the_project_is_not_to_be_fetched(hub):
    with pytest.raises(BadInput, match="is missing; check it out again"):
        verified(entry(hub, url=""))
