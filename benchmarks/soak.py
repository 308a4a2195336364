"""What CI does a little of, at length: `make soak`, or `python -m benchmarks.soak kills --count 50`.

`kills` ends worker or server by SIGKILL at random moments while songs are remixed, and asks that every song is remixed
once and no finished stage is computed again; `files` hands spoilt files to the decoder.
"""

import argparse
import random
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.scale import keep
from models.encoding import write_wav
from models.example_song import example_song
from tests.service import ROOT, Service, service


def main() -> None:
    """Read the command line, soak, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "files"))
    parser.add_argument("--count", type=int, required=True, help="how many kills, or files")
    parser.add_argument("--songs", type=int, default=0, help="songs remixed meanwhile; by default one a kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "soak.json")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        if given.what == "kills":
            figures = kills(Path(folder), given.count, given.songs or given.count, random.Random(given.seed))
        else:
            figures = files(Path(folder), given.count, given.seed)
    keep(given.out, given.what, figures)
    print(figures)


def kills(folder: Path, count: int, songs: int, chance: random.Random) -> dict[str, Any]:
    """Kill the worker with all its runs, or the server, so many times while songs are remixed."""
    paths = [folder / f"song {number}.wav" for number in range(songs)]
    for number, path in enumerate(paths):
        write_wav(example_song(seconds=4.0, seed=number).mix, path)
    with service(folder / "home") as served:
        began = time.monotonic()
        ids = served.submit(*paths)
        killed: Counter[str] = Counter()
        for _ in range(count):
            time.sleep(chance.uniform(5, 60))
            name = chance.choice(["worker", "server"])
            kill(served, name)
            killed[name] += 1
        over = served.until_over(ids, patience_s=600 + 300 * songs)
        spent = time.monotonic() - began
        stages = Counter(path.name.partition("-")[0] for path in (served.home / "results").glob("*-*"))
        computed = Counter(row["stage"] for row in served.engine_log() if row["event"] == "stage")
    return {
        "kills": dict(killed),
        "songs": songs,
        "ended": dict(Counter(run["state"] for run in over.values())),
        "results_of_separate": stages["separate"],
        "computations_of_separate": computed["separate"],
        "minutes": round(spent / 60, 1),
    }


def kill(served: Service, name: str) -> None:
    """End a process and all it started, then start it again."""
    served.kill(name)
    if name == "server":
        served.start_server()
    else:
        served.start_worker()


def files(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Decode so many spoilt files, each in its process."""
    import os

    from models.errors import BadInput
    from tasks.uploads import decoded_apart
    from tests.hostile import malformed

    os.environ["REMIX_HOME"] = str(folder / "home")
    ends: Counter[str] = Counter()
    slowest = 0.0
    for path in malformed(folder, count, seed):
        started = time.monotonic()
        try:
            decoded_apart(path)
            ends["decoded"] += 1
        except BadInput:
            ends["refused"] += 1
        slowest = max(slowest, time.monotonic() - started)
    left = len(list((folder / "home" / "tmp").glob("*")))
    return {"files": count, **ends, "slowest_s": round(slowest, 1), "left_over": left}


if __name__ == "__main__":
    main()
