"""`remix serve` and `remix worker` before anything of theirs is started."""

import socket
import sys

import pytest

from flows.cli import serve
from flows.service import deployments
from flows.service.supervisor import Supervised
from models.core.errors import BadInput

pytestmark = pytest.mark.usefixtures("home")


def test_engines_of_containers_that_share_a_folder_have_sockets_of_their_own(monkeypatch):
    found = set()
    for host in ("4f1c2d3e", "5a6b7c8d", "n" * 64):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        found.add(serve.engine_socket())
    assert len(found) == 3
    assert max(len(path.name) for path in found) < 40


@pytest.fixture
def nothing_starts(monkeypatch):
    """No process may be started, nor the process' environment stay changed."""
    monkeypatch.setattr(Supervised, "start", lambda *given: pytest.fail("a process is started"))
    for name in ("PREFECT_API_URL", "PREFECT_SERVER_API_AUTH_STRING"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("REMIX_AUTH_FILE", raising=False)


@pytest.mark.usefixtures("nothing_starts")
def test_a_service_open_to_the_network_without_a_secret_is_refused_at_once():
    with pytest.raises(BadInput, match=r"open to the network.*REMIX_AUTH_FILE"):
        serve.serve(host="0.0.0.0")


@pytest.mark.usefixtures("nothing_starts")
def test_a_port_that_is_taken_is_said_at_once(monkeypatch):
    monkeypatch.setattr(deployments, "answers", lambda api: False)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BadInput, match=f"{port}: Address already in use"):
            serve.serve(port=port)


def test_a_server_that_ends_as_it_starts_is_waited_for_no_longer_and_its_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(deployments, "answers", lambda api: False)
    children = Supervised(tmp_path / "logs", print)
    children.start("server", [sys.executable, "-c", "raise SystemExit('the database is locked')"])
    with pytest.raises(BadInput, match=r"server ended \(1\): the database is locked"):
        deployments.wait_for("http://127.0.0.1:9/api", 60, lambda: children.ended("server"))
