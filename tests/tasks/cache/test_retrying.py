"""What can pass is tried again, what cannot is not."""

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from flows.deployments.remix import honest
from models.core.errors import BadInput
from models.core.types import Take
from tasks.cache import caching
from tasks.cache.caching import stage
from tasks.engine.resident import EngineLost

pytestmark = pytest.mark.usefixtures("prefect_server", "home")


@pytest.mark.parametrize(
    ("error", "times"),
    [(EngineLost("gone"), 2), (MemoryError("full"), 2), (BadInput("No song."), 1), (ValueError(), 1)],
)
def test_a_stage_is_tried_again_only_for_what_can_pass(monkeypatch, error, times):
    monkeypatch.setattr(caching, "_RETRY_AFTER_S", [0.0])
    tried = []

    @stage("numpy")
    def failing(number: float) -> Take:
        """Fail."""
        tried.append(number)
        raise error

    @flow
    def work():
        failing(1.0)

    with pytest.raises(type(error)):
        work()
    assert len(tried) == times


@pytest.mark.parametrize(("error", "retriable"), [(BadInput("No song."), False), (EngineLost("gone"), True)])
def test_a_failed_run_says_whether_the_same_may_work_later(error, retriable):
    @flow(persist_result=False)
    @honest
    def remixing():
        raise error

    state = remixing(return_state=True)
    with get_client(sync_client=True) as client:
        kept = client.read_flow_run(state.state_details.flow_run_id).state
    assert (kept.name, kept.message, kept.state_details.retriable) == ("Failed", str(error), retriable)
