"""`remix serve`, and what it is made of: `remix server`, `remix worker`, `remix deploy`, `remix engine`."""

import hashlib
import os
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.core.errors import BadInput
from models.core.registry import home

console = Console(highlight=False, soft_wrap=True)

Port = Annotated[int, typer.Option(min=1, max=65535, help="The port of the server and its UI.")]
Host = Annotated[str, typer.Option(help="The address to listen on; by default loopback.")]
AtOnce = Annotated[int, typer.Option("--songs", min=1, help="How many songs are remixed at once, over all workers.")]
Pool = Annotated[str, typer.Option(help="The work pool to work for: cpu or gpu.")]
Limit = Annotated[int | None, typer.Option(min=1, help="How many runs this worker has at once; by default any number.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (serve, server, worker, deploy, engine):
        app.command(rich_help_panel="Service")(command)


def serve(
    port: Port = 4200, host: Host = "127.0.0.1", songs: AtOnce = 2, pool: Pool = "cpu", limit: Limit = None
) -> None:
    """Run the service on this machine: a Prefect server (SQLite), the deployments and a worker, until Ctrl-C."""
    from flows.service.deployments import answers, check_address, forget_api, note_api, set_up, use_api, wait_for
    from flows.service.supervisor import Supervised

    api = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/api"
    if answers(api):
        raise BadInput(f"A server answers at {api} already; choose another --port, or stop it.")
    use_api(api)
    check_address(host, port)
    children = Supervised(home() / "logs", console.print)
    try:
        children.start("server", [*_remix(), "server", "--host", host, "--port", str(port)])
        wait_for(api, lost=lambda: children.ended("server"))
        set_up(songs)
        bounds = ["--limit", str(limit)] if limit else []
        children.start("worker", [*_remix(), "worker", "--pool", pool, *bounds])
        note_api(api)
        console.print(_WELCOME.format(ui=api.removesuffix("/api"), logs=children.logs, remix=typed_command()))
        children.until_stopped()
    finally:
        forget_api()
        children.end()


_WELCOME = """The service is up. Its pages: {ui}

    {remix} submit song.mp3 --voice knn --follow     # uploads a song and remixes it
    {remix} runs ; {remix} runs show ID ; {remix} runs cancel ID ; {remix} runs fetch ID --out DIR
    {remix} batch add DIR --every "0 2 * * *" --voice knn ; {remix} batch list|pause|remove

Logs: {logs}. Ctrl-C ends it; what was finished is kept."""


def typed_command() -> str:
    """This command as it can be typed here: by its name on the PATH, else by the file that was started."""
    program = sys.argv[0]
    if Path(program).name != "remix" or (
        (installed := shutil.which("remix")) and Path(installed).resolve() == Path(program).resolve()
    ):
        return "remix"
    path = Path(program).absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def server(port: Port = 4200, host: Host = "127.0.0.1") -> None:
    """Run the Prefect server, its UI and the finished remixes; with $REMIX_AUTH_FILE for those who know its secret."""
    import tasks  # noqa: F401  # telemetry off, the database beside the store
    from flows.service.deployments import check_address, secrets_from_files

    secrets_from_files()
    os.environ.setdefault("PREFECT_UI_STATIC_DIRECTORY", str(home() / "prefect" / "ui"))  # the root may be read-only
    check_address(host, port)
    os.execv(sys.executable, [sys.executable, "-m", "flows.service.web", host, str(port)])


def worker(pool: Pool = "cpu", limit: Limit = None, name: Annotated[str, typer.Option(help="Its name.")] = "") -> None:
    """Work for a pool: a Prefect process worker, the resident engine, and the sweep that takes up lost runs."""
    from flows.service.deployments import POOLS, use_api, wait_for

    if pool not in POOLS:
        raise BadInput(f"There is no work pool {pool!r}; there are {' and '.join(POOLS)}.")
    wait_for(use_api())
    from flows.service.lost_runs import sweep_forever
    from flows.service.supervisor import Supervised, say
    from tasks.engine.resident import SOCKET

    if os.environ.get("PREFECT_LOGGING_LEVEL") == "CRITICAL":  # this command line's own default, for terminals
        os.environ["PREFECT_LOGGING_LEVEL"] = "INFO"
    os.environ[SOCKET] = str(engine_socket())
    children = Supervised(home() / "logs", say)
    called = name or f"{socket.gethostname()}-{os.getpid()}"
    command = [
        sys.executable,
        "-m",
        "prefect",
        "worker",
        "start",
        "--pool",
        pool,
        "--name",
        called,
        "--type",
        "process",
    ]
    children.start("engine", [*_remix(), "engine", *(["--gpu"] if pool == "gpu" else [])])
    children.start("runs", [*command, *(["--limit", str(limit)] if limit else [])])
    threading.Thread(target=sweep_forever, args=(children.stop,), daemon=True).start()
    children.until_stopped()


def deploy(songs: AtOnce = 2) -> None:
    """Tell a server of pools, queues, limits and deployments; may be run again."""
    from flows.service.deployments import set_up, use_api, wait_for

    wait_for(use_api())
    set_up(songs)


def engine(
    gpu: Annotated[bool, typer.Option("--gpu", help="Hold the limit named gpu while a network works.")] = False,
) -> None:
    """Keep networks loaded and compute for this machine's runs; `remix worker` starts it."""
    from tasks.engine.engine import serve_networks
    from tasks.engine.resident import SOCKET

    serve_networks(os.environ.get(SOCKET) or str(home() / "engine.sock"), "gpu" if gpu else None)


def engine_socket() -> Path:
    """Where this worker's engine listens: containers that share the folder have equal process ids, but other names.

    Short however long the host's name is: the path of a socket has at most 107 bytes.
    """
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return home() / f"engine-{host}-{os.getpid()}.sock"


def _remix() -> list[str]:
    return [sys.executable, "-c", "from flows.cli import main; main()"]
