"""How the command ends where the service is away and not the person at fault: one sentence and exit 2."""

import httpx
import pytest

from flows.cli.exit import BAD_INPUT, FAULT, guarded
from tasks.cache.remote_store import StoreUnreachable

API = "http://127.0.0.1:9/api"


def refusal(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", API)
    return httpx.HTTPStatusError("refused", request=request, response=httpx.Response(status, request=request))


def in_a_flow(cause: Exception) -> RuntimeError:
    error = RuntimeError("Failed to reach API")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (httpx.ConnectError("refused"), BAD_INPUT, f"No Prefect server answers at {API}"),
        (httpx.ReadTimeout("late"), BAD_INPUT, f"No Prefect server answers at {API}"),
        (in_a_flow(httpx.ConnectError("refused")), BAD_INPUT, f"No Prefect server answers at {API}"),
        (refusal(401), BAD_INPUT, "REMIX_AUTH_FILE"),
        (refusal(404), BAD_INPUT, f"no Prefect server's API at {API}"),
        (refusal(500), FAULT, "A fault of ours"),
        (RuntimeError("broken"), FAULT, "A fault of ours"),
        (StoreUnreachable("The shared store s3://x cannot be reached."), BAD_INPUT, "The shared store s3://x"),
    ],
)
def test_what_cannot_be_reached_is_one_sentence_and_exit_2(monkeypatch, capsys, error, code, says):
    monkeypatch.setenv("PREFECT_API_URL", API)

    def command() -> None:
        raise error

    assert guarded(command, debug=False) == code
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
