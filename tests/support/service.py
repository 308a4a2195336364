"""The service as real processes: a server, its worker with the engine, and the command line that talks to them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
REMIX = [sys.executable, "-c", "from flows.cli import main; main()"]
FINAL = ("Completed", "Failed", "Cancelled")
FAST = ("--voice", "none", "--backing", "original", "--outro-bars", "0")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Service:
    """Processes of one service, each by a name; `environment` is what they and the command line are given."""

    home: Path
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def variables(self, **more: str) -> dict[str, str]:
        own = {"REMIX_HOME": str(self.home), "PREFECT_API_URL": self.api, "PREFECT_HOME": str(self.home / "prefect")}
        own["PYTHONPATH"] = str(ROOT)  # the code beside these tests, wherever the package was installed from
        quick = {"PREFECT_WORKER_QUERY_SECONDS": "3", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        return kept | own | quick | self.environment | more

    def start(self, name: str, *command: str, **more: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.home / f"{name}.out", "ab") as log:
            self.running[name] = subprocess.Popen(
                [*REMIX, *command], env=self.variables(**more), stdout=log, stderr=log, cwd=ROOT, start_new_session=True
            )

    def start_server(self) -> None:
        self.start("server", "server", "--port", str(self.port))
        self.wait_for_server()

    def wait_for_server(self, patience_s: float = 300) -> None:
        from flows.service.deployments import wait_for

        wait_for(self.api, patience_s)

    def serve(self) -> None:
        """All of it by the one command that an operator gives."""
        self.start("serve", "serve", "--port", str(self.port))
        end = time.monotonic() + 400
        while not (self.home / "service.json").exists():
            assert time.monotonic() < end, self.logs()
            time.sleep(0.5)

    def start_worker(self, name: str = "worker", *bounds: str, **more: str) -> None:
        self.start(name, "worker", "--pool", "cpu", "--name", name, *bounds, **more)

    def remix(self, *arguments: str, patience_s: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*REMIX, *arguments], env=self.variables(), cwd=ROOT, capture_output=True, text=True, timeout=patience_s
        )

    def told(self, *arguments: str) -> Any:
        """What a command prints as JSON; it must succeed."""
        done = self.remix(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def submit(self, *songs: Path, choices: tuple[str, ...] = FAST) -> list[str]:
        return [run["id"] for run in self.told("submit", *map(str, songs), *choices)]

    def until_running(self, run: str, patience_s: float = 300) -> None:
        """Wait until a run has begun; it must not be over before that is seen."""
        end = time.monotonic() + patience_s
        while (state := self.told("runs", "show", run)["state"]) != "Running":
            assert state not in FINAL, (state, self.logs())
            assert time.monotonic() < end, self.logs()
            time.sleep(0.5)

    def until_over(self, ids: list[str], patience_s: float = 420) -> dict[str, dict[str, Any]]:
        """The runs once all of them are over."""
        end = time.monotonic() + patience_s
        while True:
            runs = {run["id"]: run for run in self.told("runs") if run["id"] in ids}
            if all(run["state"] in FINAL for run in runs.values()) and len(runs) == len(ids):
                return runs
            assert time.monotonic() < end, (runs, self.logs())
            time.sleep(2)

    def until_stage(self, stage: str, patience_s: float = 300) -> None:
        """Wait until a stage has left a result."""
        end = time.monotonic() + patience_s
        while not list((self.home / "results").glob(f"{stage}-*")):
            assert time.monotonic() < end, self.logs()
            time.sleep(0.1)

    def engine_log(self) -> list[dict[str, Any]]:
        path = self.home / "logs" / "engine.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def kill(self, name: str) -> None:
        """SIGKILL a process and everything it started, at once: as if its machine had lost its power."""
        process = self.running.pop(name)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in family:
            one.send_signal(signal.SIGSTOP)
        for one in family:
            one.kill()
        process.wait()

    def stop(self) -> None:
        for name in list(self.running):
            self.kill(name)

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in sorted(self.home.glob("*.out")))


@contextmanager
def service(home: Path, **environment: str) -> Iterator[Service]:
    """A server with its deployments and one worker on this machine."""
    made = Service(home, environment=environment)
    try:
        made.start_server()
        done = made.remix("deploy")
        assert done.returncode == 0, done.stderr
        made.start_worker()
        yield made
    finally:
        made.stop()
