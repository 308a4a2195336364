"""`--separator auto`: the best separator at hand, against a hub that answers, refuses, hangs, breaks or lies."""

import socket
from dataclasses import replace

import pytest

from flows.separators import SHIPPED, Usable, usable
from models.core import registry
from models.separation.checkpoints import load, separator_path


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
    official.hub.files = {path: bytes(len(content)) for path, content in official.hub.files.items()}
    shipped_instead("wrong SHA-256")


def test_auto_goes_on_with_the_shipped_one_where_the_disk_is_full(official, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.core.download.os.fsync", full)
    shipped_instead("no space")
