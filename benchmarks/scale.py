"""Songs an hour against workers, and the queue under load, on this machine: `python -m benchmarks.scale --help`.

A song is a flow run of known cost (it waits), so what is measured is the service: server, queue, workers, processes.
`workers` tells how much more two and four workers do than one; `queue` how long runs wait to be started at the
beginning and at the end of many, and what the server's memory and database grow by.
"""

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from tests.service import ROOT, Service


def main() -> None:
    """Read the command line, measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("workers", "queue"))
    parser.add_argument("--seconds", type=float, default=60.0, help="a song's cost")
    parser.add_argument("--songs", type=int, default=4, help="songs a worker (workers), songs in all (queue)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "scale.json")
    given = parser.parse_args()
    if given.what == "workers":
        rows: Any = [workers(count, given.songs, given.seconds) for count in given.workers]
        for row in rows:
            row["efficiency"] = round(
                row["songs_an_hour"] / rows[0]["songs_an_hour"] / row["workers"] * rows[0]["workers"], 3
            )
    else:
        rows = queue(given.songs)
    keep(given.out, given.what, rows)
    print(json.dumps(rows, indent=1))


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


def queue(songs: int) -> dict[str, Any]:
    """Runs that all wait in the queue: the time between one's end and the next one's start, first and last tenth."""
    with TemporaryDirectory() as folder:
        served = started(Path(folder))
        try:
            memory_before, database_before = server_bytes(served), database_bytes(served)
            submit(served, songs, 0.0)
            served.start_worker("worker", "--limit", "1")
            notes = finished(served, songs, patience_s=600 + 60 * songs)
            memory, database = server_bytes(served), database_bytes(served)
        finally:
            served.stop()
    between = gaps(notes)
    tenth = max(len(between) // 10, 1)
    return {
        "songs": songs,
        "start_latency_first_tenth_s": round(median(between[:tenth]), 2),
        "start_latency_last_tenth_s": round(median(between[-tenth:]), 2),
        "server_memory_mb": [round(memory_before / 1e6), round(memory / 1e6)],
        "database_bytes_a_run": round((database - database_before) / songs),
    }


def gaps(notes: list[dict[str, Any]]) -> list[float]:
    """The seconds between each run's end and the next one's start."""
    in_order = sorted(notes, key=lambda note: float(note["started"]))
    return [after["started"] - before["ended"] for before, after in pairwise(in_order)]


def started(folder: Path) -> Service:
    """A server with a deployment of the known cost, and no worker."""
    served = Service(folder / "home", environment={"PYTHONPATH": str(ROOT), "PREFECT_WORKER_QUERY_SECONDS": "2"})
    served.start_server()
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import WorkPoolCreate

    from benchmarks.known_cost import known_cost

    with SyncPrefectClient(served.api) as client:
        client.create_work_pool(WorkPoolCreate(name="cpu", type="process"))
        flow_id = client.create_flow(known_cost)
        client.create_deployment(
            flow_id, "known-cost", work_pool_name="cpu", entrypoint="benchmarks.known_cost.known_cost", path=str(ROOT)
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
    folder, end = served.home / "known-cost", time.monotonic() + patience_s
    while len(list(folder.glob("*.json"))) < songs:
        if time.monotonic() > end:
            raise TimeoutError(f"{len(list(folder.glob('*.json')))} of {songs} runs ended; {served.logs()}")
        time.sleep(1)
    return [json.loads(path.read_text()) for path in folder.glob("*.json")]


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
