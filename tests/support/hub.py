"""A small local stand-in for the hub that serves the official separators, and tiny networks in their format."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from models.core import registry
from models.separation.checkpoints import to_fetch

SIX = ["drums", "bass", "other", "vocals", "guitar", "piano"]


class Hub(ThreadingHTTPServer):
    """Speaks as the hub does: `/owner/name/resolve/commit/file` redirects to a store that answers ranges.

    `files` are bytes by path; each answer of the store is cut after `cut` bytes, and
    after so many requests it knows nothing any more.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.cut = 1 << 40
        self.dies_after = 1 << 30
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        hub = self.server
        hub.asked.append(self.path)
        content = hub.files.get(self.path.removeprefix("/store")) if len(hub.asked) <= hub.dies_after else None
        if content is None:
            self.send_error(404)
        elif not self.path.startswith("/store"):
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{hub.server_port}/store{self.path}")
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            asked = self.headers.get("Range", "bytes=0-")
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, content = int(first), content[: int(last) + 1] if last else content
            self.send_response(206 if start or last else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : start + hub.cut])
            self.close_connection = True

    def log_message(self, *args):
        pass


@dataclass
class Official:
    """The hub, and the networks it serves under the manifest's own paths, by the manifest's name."""

    hub: Hub
    networks: dict[str, HTDemucs]

    def publish(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **changes: object) -> None:
        rows = {}
        for name, network in self.networks.items():
            (part,) = to_fetch(name)
            path = folder / f"{name}.safetensors"
            save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, path, metadata(network))
            address = urlsplit(part.url).path
            self.hub.files[address] = path.read_bytes()
            digest = registry.file_digest(path)
            url = f"http://127.0.0.1:{self.hub.server_port}{address}"
            rows[name] = replace(part, url=url, sha256=digest, bytes=path.stat().st_size, **changes)
        found = tuple(rows.get(w.name, w) for w in registry.manifest())
        monkeypatch.setattr(registry, "manifest", lambda: found)


def arguments(sources: list[str]) -> dict:
    """Those of the official networks, but for their size."""
    return {"sources": sources, "channels": 8, "t_layers": 1, "t_heads": 2, "bottom_channels": 16, "samplerate": 44100}


def metadata(network: HTDemucs) -> dict[str, str]:
    """As demucs' own export writes it: the class by name, its arguments as JSON, the segment as a fraction."""
    segment = {"_type": "fraction", "numerator": 1, "denominator": 2}
    kwargs = json.dumps(arguments(list(network.sources)) | {"segment": segment})
    return {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": kwargs}


@pytest.fixture(scope="module")
def networks() -> dict[str, HTDemucs]:
    torch.manual_seed(0)
    made = {"htdemucs": SIX[:4], "htdemucs_6s": SIX}
    return {name: HTDemucs(**arguments(sources), segment=Fraction(1, 2)) for name, sources in made.items()}


@pytest.fixture
def official(monkeypatch, tmp_path, networks) -> Iterator[Official]:
    monkeypatch.setenv("REMIX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REMIX_OFFLINE", raising=False)
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    served = Official(hub, networks)
    served.publish(monkeypatch, tmp_path)
    yield served
    hub.shutdown()
    hub.server_close()
