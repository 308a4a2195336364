"""`remix submit` and `remix runs` before a server that is none: what is asked of it, and how the command ends."""

from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from flows.cli import runs
from models.errors import BadInput

pytestmark = pytest.mark.usefixtures("home", "client")


class Client:
    """A Prefect client of a server with no runs."""

    def read_flow_run(self, run_id: UUID) -> FlowRun:
        raise ObjectNotFound(Exception(f"no {run_id}"))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """What commands of the test talk to in place of a server."""
    made = Client()

    @contextmanager
    def get_client(sync_client: bool):
        yield made

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr("prefect.client.orchestration.get_client", get_client)
    return made


@pytest.mark.parametrize("run_id", ["z" * 36, str(uuid4())])
def test_an_id_that_is_none_names_no_run(run_id):
    with pytest.raises(BadInput, match=f"There is no run {run_id}"):
        runs.show(run_id)
