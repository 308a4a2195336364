"""A stand-in for Prefect's client, so that commands can be tested without a server."""

from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

C = TypeVar("C")


def talks_to(monkeypatch: pytest.MonkeyPatch, client: C) -> C:
    """Have every command of the test talk to this client; returns it."""

    @contextmanager
    def get_client(sync_client: bool) -> Any:
        yield client

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr("prefect.client.orchestration.get_client", get_client)
    return client
