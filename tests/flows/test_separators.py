"""The official separators as a user meets them: fetched on first use from a hub, which here is a small local one."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from flows.separators import SHIPPED, Usable, known, usable
from models.core import registry
from models.core.errors import BadInput
from models.core.types import Clip
from models.separation.checkpoints import load, save, separator_path, to_fetch
from models.separation.evaluation.songs import synthetic_song
from models.separation.networks.band_mask import BandMask
from tasks.cache.store import Store
from tasks.stages.separate import separate

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


def stored(seconds: float = 1.2) -> Clip:
    rng = np.random.default_rng(0)
    return Store().put([0.1 * rng.standard_normal((2, int(44100 * seconds))).astype(np.float32)], 44100)


def test_an_official_network_is_fetched_on_first_use_over_cut_connections(official, networks):
    official.hub.cut = 300_000
    assert usable("htdemucs").notes == ()
    asked = len(official.hub.asked)
    assert asked > 2
    assert usable("htdemucs").separator == "htdemucs"
    assert len(official.hub.asked) == asked
    fetched = load(separator_path("htdemucs"))
    for key, value in networks["htdemucs"].state_dict().items():
        torch.testing.assert_close(fetched.state_dict()[key], value.half().float())


def test_guitar_and_piano_are_parts_of_other(official):
    usable("htdemucs_6s")
    stems = separate.fn(stored(), "htdemucs_6s", settings(), 0, "cpu")
    assert [part.name for part in stems.parts] == ["other", "guitar", "piano"]
    store = Store()
    total = sum(store.source(part.audio).read(0, 50000) for part in stems.parts)
    np.testing.assert_allclose(store.source(stems.other).read(0, 50000), total, atol=1e-5)
    usable("htdemucs")
    assert separate.fn(stored(), "htdemucs", settings(), 0, "cpu").parts == ()


@pytest.mark.weights
def test_each_part_of_other_is_written_down_for_itself(monkeypatch, tmp_path):
    from models.core.types import Contour, Part
    from models.transcription.settings import TranscribeSettings
    from tasks.stages.transcribe import transcribe

    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    drums, bass, other, vocals = (Store().put([row], 44100) for row in synthetic_song(0, 4.0))
    parts = (Part("other", bass), Part("guitar", other), Part("piano", other))
    silence = Contour((0.0,) * 400, 0.01, 0.0)
    score = transcribe.fn(drums, bass, other, vocals, silence, TranscribeSettings(), parts)
    assert [track.name for track in score.tracks] == ["bass", "other", "guitar", "piano", "melody", "drums"]
    guitar, piano = score.track("guitar"), score.track("piano")
    assert guitar.notes == piano.notes
    assert 24 <= guitar.program <= 31
    assert 0 <= piano.program <= 7


def test_without_a_network_the_shipped_one_works_and_says_so(official):
    official.hub.files.clear()
    found = usable("htdemucs")
    assert found.separator == SHIPPED
    assert len(found.notes) == 1
    assert "404" in found.notes[0]
    assert "band-mask, the shipped separator, was used instead of htdemucs" in found.notes[0]
    known("htdemucs")


def test_what_the_hub_spoilt_is_refused_and_not_replaced(official, monkeypatch, tmp_path):
    official.publish(monkeypatch, tmp_path, licence="MIT")
    (part,) = to_fetch("htdemucs")
    address = urlsplit(part.url).path
    spoilt = bytearray(official.hub.files[address])
    spoilt[-1] ^= 1
    official.hub.files[address] = bytes(spoilt)
    with pytest.raises(BadInput, match="wrong SHA-256"):
        usable("htdemucs")
    assert not part.path.exists()


def test_a_full_disk_is_said_and_not_hidden(official, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.core.download.os.fsync", full)
    with pytest.raises(BadInput, match="no space"):
        usable("htdemucs")


def test_auto_takes_the_fetched_network_without_asking_anybody(official):
    usable("htdemucs")
    asked = len(official.hub.asked)
    assert usable("auto") == Usable("htdemucs", ("Separated by htdemucs, which has been fetched.",))
    assert len(official.hub.asked) == asked


def test_auto_fetches_it_where_the_hub_answers(official):
    assert usable("auto") == Usable("htdemucs", ("Separated by htdemucs, fetched for this remix.",))
    assert load(separator_path("htdemucs"))


def shipped_instead(reason: str) -> None:
    found = usable("auto")
    assert found.separator == SHIPPED
    (note,) = found.notes
    assert note.startswith("Separated by band-mask, the shipped separator, not by htdemucs:")
    assert reason in note


@pytest.mark.parametrize("name", ["REMIX_OFFLINE", "HF_HUB_OFFLINE"])
def test_auto_asks_nobody_on_a_machine_that_is_set_to_be_offline(official, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    shipped_instead("set to be offline")
    assert official.hub.asked == []
    assert "offline" in usable("htdemucs").notes[0]


def test_auto_asks_a_hub_that_refuses_once_in_an_hour(official, monkeypatch):
    official.hub.files.clear()
    shipped_instead("does not answer")
    asked = len(official.hub.asked)
    shipped_instead("asked once in an hour")
    assert len(official.hub.asked) == asked
    monkeypatch.setattr("flows.separators.PROBE_AGAIN_S", 0.0)
    shipped_instead("does not answer")
    assert len(official.hub.asked) > asked


def test_auto_waits_no_longer_than_it_says_for_a_hub_that_hangs(official, monkeypatch):
    listening = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    hanging = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
    rows = tuple(replace(w, url=hanging) if w.url else w for w in registry.manifest())
    monkeypatch.setattr(registry, "manifest", lambda: rows)
    monkeypatch.setattr("flows.separators.PROBE_S", 0.2)
    shipped_instead("does not answer")
    listening.close()


def test_auto_goes_on_with_the_shipped_one_where_the_hub_breaks_half_way(official):
    official.hub.cut = 1000
    official.hub.dies_after = 3
    shipped_instead("answered 404")


def test_auto_goes_on_with_the_shipped_one_where_the_hub_sends_something_else(official):
    address = next(iter(official.hub.files))
    spoilt = {path: bytes(len(content)) for path, content in official.hub.files.items()}
    official.hub.files = spoilt
    assert address in spoilt
    shipped_instead("wrong SHA-256")


def test_auto_goes_on_with_the_shipped_one_where_the_disk_is_full(official, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.core.download.os.fsync", full)
    shipped_instead("no space")


def test_a_file_of_the_users_is_taken_as_it_is(tmp_path):
    with pytest.raises(BadInput, match="no separator file"):
        usable(str(tmp_path / "mine.th"))
    (tmp_path / "mine.th").write_bytes(b"")
    assert usable(str(tmp_path / "mine.th")).separator == str(tmp_path / "mine.th")
    with pytest.raises(BadInput, match="no separator named"):
        known("band-musk")


def band_mask(sources: list[str], path: Path) -> str:
    torch.manual_seed(0)
    save(BandMask(sources, width=16, depth=2, segment=1.0), path)
    return str(path)


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (
            ["lead_vocals", "backing_vocals", "room"],
            "sources lead_vocals, backing_vocals, room; it needs vocals and other",
        ),
        (["drums", "bass", "other"], "it needs vocals and other"),
        (["drums", "bass", "vocals"], "it needs vocals and other"),
        (["other", "vocals", "vocals"], "a name of its own"),
    ],
)
def test_a_network_that_makes_no_four_stems_is_refused(home, tmp_path, sources, says):
    with pytest.raises(BadInput, match=says):
        separate.fn(stored(), band_mask(sources, tmp_path / "mine.safetensors"), settings(), 0, "cpu")


@pytest.mark.parametrize("rest", ["other", "accompaniment"])
def test_what_a_network_of_two_sources_does_not_part_is_other(home, tmp_path, rest):
    audio = stored()
    stems = separate.fn(audio, band_mask(["vocals", rest], tmp_path / "mine.safetensors"), settings(), 0, "cpu")
    drums, bass, other, vocals = (
        Store().source(clip).read(0, audio.frames) for clip in (stems.drums, stems.bass, stems.other, stems.vocals)
    )
    assert not drums.any()
    assert not bass.any()
    assert min(np.abs(other).max(), np.abs(vocals).max()) > 1e-3
    np.testing.assert_allclose(other + vocals, Store().source(audio).read(0, audio.frames), atol=1e-4)
    assert stems.parts == ()


def settings():
    from models.separation.settings import SeparateSettings

    return SeparateSettings()
