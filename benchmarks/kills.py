"""SIGKILL at random moments: of workers with all that they run, the server and its database, while songs are made.

Two workers share a machine's store, and each is ended and started again as chance will have it. In the end every song
must be Completed and remixed once, and no stage that was finished may have been computed again.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient

from models.audio.encode import write_wav
from models.synthesis.example_song import example_song
from tests.support.postgres import PROGRAMS, Postgres, postgres
from tests.support.service import FINAL, ROOT, Service, free_port

R = TypeVar("R")

WORKERS = ("worker-1", "worker-2")
AT_ONCE = 4
"""How many songs are under way at a time, over both workers."""


@dataclass
class Kill:
    """What was ended, when, and when it answered again (seconds since the epoch)."""

    what: str
    at: float
    back: float = float("inf")


@dataclass
class Trial:
    """A service with its database, the songs it was given and what was killed meanwhile."""

    served: Service
    database: Postgres | None
    submit: Callable[["Trial", int], str]
    songs: list[str] = field(default_factory=list)
    killed: list[Kill] = field(default_factory=list)

    def kill(self, what: str) -> None:
        """End a process and all it started, by SIGKILL, and start it again."""
        self.killed.append(Kill(what, time.time()))
        if what == "database":
            assert self.database
            self.database.kill()
            self.database.start()
        elif what == "server":
            self.served.kill("server")
            self.served.start_server()
        else:
            self.served.kill(what)
            start_worker(self.served, what)
        self.killed[-1].back = time.time()

    def asked(self, question: Callable[[SyncPrefectClient], R], patience_s: float = 300.0) -> R:
        """What the server answers, once it does: its database may have been away a moment ago."""
        end = time.monotonic() + patience_s
        while True:
            try:
                with SyncPrefectClient(self.served.api) as client:
                    return question(client)
            except Exception:
                if time.monotonic() > end:
                    raise
                time.sleep(1)

    def states(self) -> dict[str, str]:
        """The name of each song's state."""
        return {
            one: self.asked(lambda client, one=one: client.read_flow_run(UUID(one))).state_name for one in self.songs
        }

    def keep_busy(self) -> None:
        """Hand in another song whenever as many as work at a time do not wait behind them."""
        left = [state for state in self.states().values() if state not in FINAL]
        for _ in range(2 * AT_ONCE - len(left)):
            self.songs.append(self.submit(self, len(self.songs)))

    def until_working(self, patience_s: float = 180.0) -> None:
        """Wait until a song is worked on, so that the first kill finds something to spoil."""
        end = time.monotonic() + patience_s
        while "Running" not in self.states().values() and time.monotonic() < end:
            time.sleep(1)


def kills(
    folder: Path,
    count: int,
    real: bool,
    seconds: float,
    chance: Random,
    most_minutes: float,
    pause_s: tuple[float, float] = (5.0, 45.0),
) -> dict[str, Any]:
    """Kill so many times, or for so many minutes, while songs are made; then wait until the last song is over."""
    began = time.monotonic()
    with on_a_service(folder, submitted if real else known(seconds)) as trial:
        targets = [*WORKERS, "server", *(["database"] if trial.database else [])]
        trial.keep_busy()
        trial.until_working()
        while len(trial.killed) < count and time.monotonic() - began < 60 * most_minutes:
            trial.keep_busy()
            time.sleep(chance.uniform(*pause_s))
            trial.kill(chance.choice(targets))
            print(f"{len(trial.killed)} kills, the last of {trial.killed[-1].what}", flush=True)
        states = until_over(trial)
        return {
            "kills": dict(Counter("worker" if kill.what in WORKERS else kill.what for kill in trial.killed)),
            "songs": len(trial.songs),
            "stages": "the real ones, on songs of 4 s" if real else f"of known cost, {seconds:g} s a song",
            "database": "PostgreSQL" if trial.database else "SQLite",
            "ended": dict(Counter(states.values())),
            "why_not_completed": told(trial, [one for one, state in states.items() if state != "Completed"]),
            **(remixes_made(trial) if real else songs_made(trial)),
            **taken_up(trial),
            "minutes": round((time.monotonic() - began) / 60, 1),
        }


@contextmanager
def on_a_service(folder: Path, submit: Callable[[Trial, int], str]) -> Iterator[Trial]:
    """A server on Postgres, where that is installed, with two workers."""
    password, port = "for-this-trial", free_port()
    database = postgres(port, password) if PROGRAMS else nullcontext()
    with database as db:
        environment = {"PYTHONPATH": str(ROOT)}
        if db:
            url = f"postgresql+asyncpg://remix:{password}@127.0.0.1:{port}/remix"
            environment["PREFECT_API_DATABASE_CONNECTION_URL"] = url
        served = Service(folder / "home", environment=environment)
        try:
            served.start_server()
            done = served.remix("deploy", "--songs", str(AT_ONCE))
            assert done.returncode == 0, done.stderr
            for worker in WORKERS:
                start_worker(served, worker)
            yield Trial(served, db, submit)
        finally:
            served.stop()


def start_worker(served: Service, name: str) -> None:
    served.start_worker(name, KNOWN_COST_WORKER=name)


def known(seconds: float) -> Callable[[Trial, int], str]:
    """Hands in songs of known cost."""

    def submit(trial: Trial, number: int) -> str:
        from benchmarks.known_cost import known_song

        def start(client: SyncPrefectClient) -> str:
            deployment = client.create_deployment(
                client.create_flow(known_song),
                "known-song",
                work_pool_name="cpu",
                work_queue_name="songs",
                entrypoint="benchmarks.known_cost.known_song",
            )
            given = {"number": number, "seconds": seconds}
            made = client.create_flow_run_from_deployment(
                deployment, parameters=given, idempotency_key=f"song {number}"
            )
            return str(made.id)

        return trial.asked(start)

    return submit


def submitted(trial: Trial, number: int) -> str:
    """Hands in a real song by the command line."""
    path = trial.served.home / f"song {number}.wav"
    write_wav(example_song(seconds=4.0, seed=number).mix, path)
    return trial.served.submit(path)[0]


def until_over(trial: Trial, patience_s: float = 1800.0) -> dict[str, str]:
    """The states of all songs once none of them is under way."""
    end = time.monotonic() + patience_s
    while True:
        states = trial.states()
        if all(state in FINAL for state in states.values()) or time.monotonic() > end:
            return states
        time.sleep(5)


def told(trial: Trial, songs: list[str]) -> list[list[str]]:
    """The states that these songs went through, each with its message."""
    found = [trial.asked(lambda client, one=one: client.read_flow_run_states(UUID(one))) for one in songs]
    return [[f"{state.name}: {state.message or ''}"[:150] for state in states] for states in found]


def notes(trial: Trial, what: str) -> list[dict[str, Any]]:
    """The lines of a kind that songs of known cost have left; real songs leave none."""
    path = trial.served.home / "known-cost" / "notes.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in found if line["what"] == what]


def songs_made(trial: Trial) -> dict[str, Any]:
    """How often songs of known cost and their stages were finished."""
    remixed = Counter(line["song"] for line in notes(trial, "remixed"))
    computed = Counter(line["stage"] for line in notes(trial, "computed"))
    return {
        "songs_remixed_once": sum(times == 1 for times in remixed.values()),
        "songs_begun": len(notes(trial, "began")),
        "stages_finished": len(computed),
        "stages_finished_twice": sum(times > 1 for times in computed.values()),
    }


def remixes_made(trial: Trial) -> dict[str, Any]:
    """How many real songs have their remix, and how often their separations were finished."""
    made = [len(list((trial.served.home / "remixes" / one).glob("*/manifest.json"))) for one in trial.songs]
    separated = sum(row["event"] == "stage" and row["stage"] == "separate" for row in trial.served.engine_log())
    return {
        "songs_remixed_once": made.count(1),
        "separations_finished": separated,
        "separations_kept": len(list((trial.served.home / "results").glob("separate-*"))),
    }


def taken_up(trial: Trial) -> dict[str, Any]:
    """How many lost runs were scheduled anew, and how long after the death of the worker that had begun them.

    The seconds are counted as they passed, and without those in which there was no server to take a run up from.
    """
    begun, times = notes(trial, "began"), 0
    waited: list[float] = []
    served: list[float] = []
    for number, one in enumerate(trial.songs):
        before = 0.0
        for state in trial.asked(lambda client, one=one: client.read_flow_run_states(UUID(one))):
            if state.name != "AwaitingRetry":
                continue
            times, at = times + 1, state.timestamp.timestamp()
            last = max((line for line in begun if line["song"] == number and line["at"] < at), key=at_of, default=None)
            if last and last["at"] > before:  # else its process died before it began, in whosever hands it was
                deaths = [k.at for k in trial.killed if k.what == last["worker"] and last["at"] < k.at < at]
                waited += [at - min(deaths)] if deaths else []
                served += [at - min(deaths) - away(trial, min(deaths), at)] if deaths else []
            before = at
    return {
        "runs_taken_up": times,
        "taken_up_after_a_workers_death_s": {"runs": len(waited), **spread(waited)},
        "of_these_with_a_server_s": spread(served),
    }


def away(trial: Trial, since: float, until: float) -> float:
    """The seconds in that time without a server or without its database."""
    outages = sorted((k.at, k.back) for k in trial.killed if k.what not in WORKERS)
    total, reached = 0.0, since
    for at, back in outages:
        start, end = max(at, reached), min(back, until)
        if end > start:
            total, reached = total + end - start, end
    return total


def spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(median(seconds), 1), "most": round(max(seconds), 1)} if seconds else {}


def at_of(line: dict[str, Any]) -> float:
    return float(line["at"])
