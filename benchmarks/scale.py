"""Songs an hour against workers, and the queue under load, on this machine: `python -m benchmarks.scale --help`.

A song is a flow run of known cost (it waits), so what is measured is the service: server, queue, workers, processes;
with --real it is a song of 4 s, remixed by the real engines, which share this machine's cores.
`workers` tells how much more two and four workers do than one; `queue` how long runs wait to be started at the
beginning and at the end of many, and what the server's memory and database grow by. In the queue a run is a small
program that begins and ends (`benchmarks.light_run`), or with --whole a process of Prefect's as a song has it.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import psutil

from models.audio.encode import write_wav
from models.synthesis.example_song import example_song
from tests.support.service import ROOT, Service


def main() -> None:
    """Read the command line, measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("workers", "queue"))
    parser.add_argument("--seconds", type=float, default=60.0, help="a song's cost")
    parser.add_argument("--songs", type=int, default=4, help="songs a worker (workers), songs in all (queue)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--real", action="store_true", help="real songs of 4 s for the workers")
    parser.add_argument("--at-once", type=int, default=4, help="runs that the queue's worker has at a time")
    parser.add_argument("--minutes", type=float, default=600.0, help="work on the queue for no longer than this")
    parser.add_argument("--whole", action="store_true", help="runs of the queue are whole processes of Prefect's")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "scale.json")
    given = parser.parse_args()
    if given.what == "workers":
        measured = real_workers if given.real else partial(workers, seconds=given.seconds)
        rows: Any = [measured(count, given.songs) for count in given.workers]
        for row in rows:
            row["efficiency"] = round(
                row["songs_an_hour"] / rows[0]["songs_an_hour"] / row["workers"] * rows[0]["workers"], 3
            )
    else:
        rows = queue(given.songs, given.at_once, given.whole, given.minutes)
    print(json.dumps(rows, indent=1))
    special = " of whole processes" if given.whole else " on real songs" if given.real else ""
    keep(given.out, given.what + special, rows)


def workers(count: int, songs: int, seconds: float) -> dict[str, Any]:
    """How many songs an hour so many workers finish, each with one run at a time."""
    with TemporaryDirectory() as folder:
        served = started(Path(folder))
        try:
            submit(served, count * songs, seconds)
            for number in range(count):
                name = f"worker-{number}"
                served.start_worker(name, "--limit", "1", KNOWN_COST_WORKER=name)
            notes = finished(served, count * songs, patience_s=60 + 3 * songs * (seconds + 60))
        finally:
            served.stop()
    spent = max(note["ended"] for note in notes) - min(note["started"] for note in notes)
    of_each = {note["worker"]: [n for n in notes if n["worker"] == note["worker"]] for note in notes}
    return {
        "workers": count,
        "songs": len(notes),
        "seconds_a_song": seconds,
        "songs_a_worker": {worker: len(own) for worker, own in of_each.items()},
        "seconds_between_songs": round(median(gap for own in of_each.values() for gap in gaps(own)), 1),
        "songs_an_hour": round(3600 * len(notes) / spent, 2),
    }


def real_workers(count: int, songs: int) -> dict[str, Any]:
    """How many real songs an hour so many workers finish, each with an engine of its own and one run at a time."""
    from prefect.client.orchestration import SyncPrefectClient

    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"song {number}.wav" for number in range(count * songs)]
        for number, path in enumerate(paths):
            write_wav(example_song(seconds=4.0, seed=number).mix, path)
        served = Service(Path(folder) / "home")
        try:
            served.start_server()
            done = served.remix("deploy", "--songs", str(count))
            assert done.returncode == 0, done.stderr
            ids = served.submit(*paths)
            for number in range(count):
                served.start_worker(f"worker-{number}", "--limit", "1")
            over = served.until_over(ids, patience_s=300 + 300 * songs)
            with SyncPrefectClient(served.api) as client:
                runs: Any = [client.read_flow_run(UUID(one)) for one in ids]
        finally:
            served.stop()
    spent = max(run.end_time for run in runs) - min(run.start_time for run in runs)
    return {
        "workers": count,
        "songs": len(runs),
        "ended": dict(Counter(run["state"] for run in over.values())),
        "seconds_a_song": round(median(run.total_run_time.total_seconds() for run in runs), 1),
        "songs_an_hour": round(3600 * len(runs) / spent.total_seconds(), 2),
    }


def queue(songs: int, at_once: int, whole: bool, minutes: float = 600.0) -> dict[str, Any]:
    """Runs that all wait in the queue: the time until a place that became free is taken, first and last tenth.

    When the minutes are over, those that had their turn by then are counted.
    """
    with TemporaryDirectory() as folder:
        served = started(Path(folder), LIGHT if not whole else {})
        try:
            memory_before, database_before = server_bytes(served), database_bytes(served)
            submit(served, songs, 0.0)
            served.start_worker("worker", "--limit", str(at_once))
            end = time.monotonic() + 60 * minutes
            while len(notes_in(served)) < songs and time.monotonic() < end:
                time.sleep(1)
            notes = notes_in(served)
            memory, database = server_bytes(served), database_bytes(served)
        finally:
            served.stop()
    waited = latencies(notes, at_once)
    tenth = max(len(waited) // 10, 1)
    first, last = median(waited[:tenth]), median(waited[-tenth:])
    return {
        "queued": songs,
        "songs": len({note["number"] for note in notes}),
        "at_once": at_once,
        "start_latency_first_tenth_s": round(first, 2),
        "start_latency_last_tenth_s": round(last, 2),
        "last_to_first": round(last / first, 2),
        "songs_an_hour": round(3600 * len(notes) / (max(ends(notes)) - min(note["started"] for note in notes))),
        "server_memory_mb": [round(memory_before / 1e6), round(memory / 1e6)],
        "database_mb": [round(database_before / 1e6, 1), round(database / 1e6, 1)],
    }


LIGHT = {"command": f"{sys.executable} -m benchmarks.light_run"}


def latencies(notes: list[dict[str, Any]], at_once: int) -> list[float]:
    """For each run that had to wait for a place, in order of their starts, the seconds from its being free.

    >>> latencies([{"started": 0, "ended": 4}, {"started": 1, "ended": 3}, {"started": 5, "ended": 6}], at_once=2)
    [2]
    """
    starts, free = sorted(note["started"] for note in notes)[at_once:], ends(notes)
    return [start - end for start, end in zip(starts, free, strict=False)]


def ends(notes: list[dict[str, Any]]) -> list[Any]:
    return sorted(note["ended"] for note in notes)


def gaps(notes: list[dict[str, Any]]) -> list[float]:
    """The seconds between each run's end and the next one's start."""
    in_order = sorted(notes, key=lambda note: float(note["started"]))
    return [after["started"] - before["ended"] for before, after in pairwise(in_order)]


def started(folder: Path, how: dict[str, str] | None = None) -> Service:
    """A server with a deployment of the known cost, and no worker; `how` are variables of its runs' processes."""
    served = Service(folder / "home", environment={"PYTHONPATH": str(ROOT), "PREFECT_WORKER_QUERY_SECONDS": "2"})
    served.start_server()
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import WorkPoolCreate

    from benchmarks.known_cost import known_cost

    with SyncPrefectClient(served.api) as client:
        client.create_work_pool(WorkPoolCreate(name="cpu", type="process"))
        flow_id = client.create_flow(known_cost)
        client.create_deployment(
            flow_id,
            "known-cost",
            work_pool_name="cpu",
            entrypoint="benchmarks.known_cost.known_cost",
            job_variables=how,
        )
    return served


def submit(served: Service, songs: int, seconds: float) -> None:
    """Put so many runs into the queue."""
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(served.api) as client:
        deployment = client.read_deployment_by_name("known-cost/known-cost")
        for number in range(songs):
            client.create_flow_run_from_deployment(deployment.id, parameters={"number": number, "seconds": seconds})


def finished(served: Service, songs: int, patience_s: float) -> list[dict[str, Any]]:
    """The notes of all runs, once they are there."""
    end = time.monotonic() + patience_s
    while len(notes_in(served)) < songs:
        if time.monotonic() > end:
            raise TimeoutError(f"{len(notes_in(served))} of {songs} runs ended; {served.logs()}")
        time.sleep(1)
    return notes_in(served)


def notes_in(served: Service) -> list[dict[str, Any]]:
    """What the runs that are over have noted."""
    return [json.loads(path.read_text()) for path in (served.home / "known-cost").glob("*.json")]


def server_bytes(served: Service) -> int:
    """The memory of the server's processes."""
    process = psutil.Process(served.running["server"].pid)
    return sum(int(one.memory_info().rss) for one in (process, *process.children(recursive=True)))


def database_bytes(served: Service) -> int:
    """The size of the SQLite database."""
    return sum(path.stat().st_size for path in (served.home / "prefect").glob("prefect.db*"))


def keep(out: Path, what: str, figures: Any) -> None:
    """Put figures into a JSON file beside others, with the date and the command that gave them."""
    known = json.loads(out.read_text()) if out.exists() else {}
    command = " ".join(["python", "-m", *(Path(sys.argv[0]).with_suffix("").parts[-2:-1]), Path(sys.argv[0]).stem])
    known[what] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"{command.replace(' benchmarks ', ' benchmarks.')} {' '.join(sys.argv[1:])}",
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "figures": figures,
    }
    out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
