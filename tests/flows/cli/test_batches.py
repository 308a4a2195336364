"""`remix batch add` before a server that is none: which names it takes, and what it leaves where it refuses one."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.exceptions import ObjectNotFound

from flows.cli.batches import add
from models.core.errors import BadInput
from tasks.runs.folders import folders
from tests.support.fake_client import talks_to

pytestmark = pytest.mark.usefixtures("home")
NIGHTLY = "0 2 * * *"


class Client:
    """A Prefect client of a server that has the service's own deployments."""

    def __init__(self) -> None:
        base = {
            "flow_id": uuid4(),
            "parameter_openapi_schema": {"properties": {"voice": {"enum": ["none"]}}},
            **dict.fromkeys(("description", "work_pool_name", "work_queue_name", "entrypoint", "path"), ""),
        }
        self.known = {"batch-remix/batch-remix": base}

    def read_deployment_by_name(self, name: str) -> SimpleNamespace:
        if name not in self.known:
            raise ObjectNotFound(Exception(name))
        return SimpleNamespace(**self.known[name])

    def create_deployment(self, name: str, **told: Any) -> None:
        self.known[f"batch-remix/{name}"] = told


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """What commands of the test talk to in place of a server."""
    return talks_to(monkeypatch, Client())


@pytest.fixture
def music(tmp_path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def test_a_batch_is_replaced_only_where_that_is_meant(client, music, tmp_path, capsys):
    add(music, NIGHTLY, voice="none", timezone="UTC")
    with pytest.raises(BadInput, match="There is a batch 'music' already; --replace"):
        add(music, "0 3 * * *", voice="none", timezone="UTC")
    assert client.known["batch-remix/music"]["schedules"][0].schedule.cron == NIGHTLY
    other = tmp_path / "other"
    other.mkdir()
    capsys.readouterr()
    add(other, "0 3 * * *", voice="none", timezone="UTC", name="music", replace=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["every"] == "0 3 * * *"
    assert client.known["batch-remix/music"]["schedules"][0].schedule.cron == "0 3 * * *"
    assert folders()["music"] == other


@pytest.mark.parametrize("replace", [False, True])
def test_the_services_own_names_are_no_batchs(client, music, replace):
    before = dict(client.known)
    for name, says in (("batch-remix", "the service's own"), ("inbox", "stands for")):
        with pytest.raises(BadInput, match=says):
            add(music, NIGHTLY, voice="none", timezone="UTC", name=name, replace=replace)
    assert client.known == before
    assert set(folders()) == {"inbox"}


def test_a_batch_that_the_server_refuses_leaves_no_folder(client, music):
    with pytest.raises(BadInput, match=r"the voice 'lj' yet; .*remix deploy$"):
        add(music, NIGHTLY, voice="lj", timezone="UTC")
    assert set(folders()) == {"inbox"}
