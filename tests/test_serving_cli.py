"""`remix serve` and `remix worker` before anything of theirs is started."""

import socket

import pytest

from flows.cli import serving

pytestmark = pytest.mark.usefixtures("home")


def test_engines_of_containers_that_share_a_folder_have_sockets_of_their_own(monkeypatch):
    found = set()
    for host in ("4f1c2d3e", "5a6b7c8d", "n" * 64):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        found.add(serving.engine_socket())
    assert len(found) == 3
    assert max(len(path.name) for path in found) < 40
