"""A Prefect server for one command, where none is configured: started first, so that it comes up while we import."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import tasks as _environment  # noqa: F401 (sets PREFECT_HOME)

_PATIENCE_S = float(os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"])
_PR_SET_PDEATHSIG = 1


_begun: "list[tuple[subprocess.Popen[bytes], str]]" = []
"""The server of this process and its address, once there is one."""


def begin() -> None:
    """Start the server that `server` will be entered for, before the rest of the program is imported.

    Where the environment or the profile names a server already, nothing is started. It ends with this process however
    that ends.
    """
    if _begun or _configured():
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _begun.append((_started(port), f"http://127.0.0.1:{port}/api"))


@contextmanager
def server() -> Iterator[Callable[[], None]]:
    """Start a server beside this process and name it in `PREFECT_API_URL`; yields what waits until it answers.

    It must be entered before Prefect is imported. The server ends with the block.
    """
    begin()
    if not _begun:
        yield lambda: None
        return
    process, address = _begun.pop()
    os.environ["PREFECT_API_URL"] = address
    settings = ExitStack()

    def ready() -> None:
        _answers(process, address)
        settings.enter_context(_without_heartbeats())

    try:
        with settings:
            yield ready
    finally:
        del os.environ["PREFECT_API_URL"]
        process.kill()  # every state it answered for is in its database
        process.wait()


def _configured() -> bool:
    if "PREFECT_API_URL" in os.environ:
        return True
    profiles = Path(os.environ["PREFECT_HOME"]) / "profiles.toml"
    if not profiles.is_file():
        return False
    known = tomllib.loads(profiles.read_text())
    return "PREFECT_API_URL" in known.get("profiles", {}).get(known.get("active", ""), {})


def _started(port: int) -> "subprocess.Popen[bytes]":
    """What `prefect server start --no-ui --no-services` runs, without the second that Prefect's command line takes."""
    app = ["--factory", "prefect.server.api.server:create_app", "--lifespan", "on", "--log-level", "critical"]
    program = "import gc; gc.set_threshold(20_000, 50, 50); from uvicorn.main import main; main()"  # see cli.main
    return subprocess.Popen(
        [sys.executable, "-c", program, *app, "--host", "127.0.0.1", "--port", str(port)],
        env=os.environ
        | {
            "PREFECT__SERVER_WEBSERVER_ONLY": "1",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the stages; the server ends after them
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _without_heartbeats() -> AbstractContextManager[object]:
    """Nobody watches a temporary server for lost runs, and a flow ends up to a second later for its heartbeat."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def _answers(process: "subprocess.Popen[bytes]", address: str) -> None:
    """Return as soon as the server is up; raises `RuntimeError` if it ends or does not answer in time."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"Prefect's temporary server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError("Prefect's temporary server did not answer in time")
