"""What the service is made of on a Prefect server: work pools and queues, the limit named gpu, the deployments."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from models.core.errors import BadInput
from models.core.registry import home

ROOT = Path(__file__).resolve().parent.parent.parent
POOLS = ("cpu", "gpu")
SONGS = "songs"
"""The queue of single remixes in each pool; batches and chores use the pool's default queue, so neither waits for the
other."""
GPU_LIMIT = "gpu"


def use_api(url: str = "") -> str:
    """Make Prefect talk to a server: the one given, `$PREFECT_API_URL`, or the one `remix serve` noted.

    Must run before Prefect is imported. Raises `BadInput` where there is none.
    """
    api = url or os.environ.get("PREFECT_API_URL", "")
    if not api:
        try:
            api = str(json.loads(_note().read_text())["api"])
        except (OSError, ValueError, KeyError):
            raise BadInput("No service is running here; start one with: make serve (or set PREFECT_API_URL).") from None
    os.environ["PREFECT_API_URL"] = api
    secrets_from_files()
    return api


def note_api(url: str) -> None:
    """Note where this machine's service answers."""
    _note().parent.mkdir(parents=True, exist_ok=True)
    _note().write_text(json.dumps({"api": url}))


def forget_api() -> None:
    """Take the note away."""
    _note().unlink(missing_ok=True)


def _note() -> Path:
    return home() / "service.json"


def secrets_from_files() -> None:
    """Put secrets that are files (`*_FILE`, as compose mounts them) where Prefect looks for them.

    `$REMIX_AUTH_FILE` holds user:password of the API; `$REMIX_DATABASE_PASSWORD_FILE` the database's password, which
    takes the place of `{password}` in `$PREFECT_API_DATABASE_CONNECTION_URL`.
    """
    if file := os.environ.get("REMIX_AUTH_FILE"):
        secret = _secret(file)
        os.environ["PREFECT_API_AUTH_STRING"] = os.environ["PREFECT_SERVER_API_AUTH_STRING"] = secret
    database = os.environ.get("PREFECT_API_DATABASE_CONNECTION_URL", "")
    if (file := os.environ.get("REMIX_DATABASE_PASSWORD_FILE")) and "{password}" in database:
        os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = database.replace("{password}", _secret(file))


def _secret(file: str) -> str:
    try:
        secret = Path(file).read_text().strip()
    except OSError as error:
        raise BadInput(f"The secret {file} cannot be read: {error.strerror}.") from None
    if not secret:
        raise BadInput(f"The secret {file} is empty.")
    return secret


def answers(api: str) -> bool:
    """Whether a Prefect server answers at an API address."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def check_address(host: str, port: int) -> None:
    """Raise `BadInput` where no server may listen: open to the network without a secret, or on a port that is taken."""
    if host not in ("127.0.0.1", "localhost", "::1") and not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        raise BadInput(f"A server on {host} is open to the network: give it a secret by REMIX_AUTH_FILE.")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise BadInput(f"Nothing can listen on {host}:{port}: {error.strerror}; choose another --port.") from None


def wait_for(api: str, patience_s: float = 300.0, lost: Callable[[], str] = lambda: "") -> None:
    """Wait until the server answers; raises `BadInput` when it does not in that time, or for the reason in `lost()`."""
    end = time.monotonic() + patience_s
    while not answers(api):
        if reason := lost():
            raise BadInput(f"The service cannot start: {reason}.")
        if time.monotonic() > end:
            raise BadInput(f"No Prefect server answers at {api}.")
        time.sleep(0.5)


def set_up(songs_at_once: int, gpus: int = 1) -> None:
    """Make what the deployments need on the server, then the deployments of prefect.yaml; may be run again.

    `songs_at_once` is how many single remixes a pool runs at a time, over all its workers.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    with get_client(sync_client=True) as client:
        for pool in POOLS:
            with contextlib.suppress(ObjectAlreadyExists):
                client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
            try:
                queue = client.read_work_queue_by_name(SONGS, work_pool_name=pool)
            except ObjectNotFound:
                queue = client.create_work_queue(SONGS, work_pool_name=pool)
            client.update_work_queue(queue.id, concurrency_limit=songs_at_once)
        client.upsert_global_concurrency_limit_by_name(GPU_LIMIT, gpus)
    deploy()


def deploy() -> None:
    """Tell the server of every deployment in prefect.yaml."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "prefect.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"deploying failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
