"""What CI does a little of, at length: `make soak`, or `python -m benchmarks.soak kills --count 50`.

`kills` ends workers, server or database by SIGKILL at random moments while songs are made, and tells how many songs
were remixed, how often, and whether a finished stage was computed again (`benchmarks.kills`); `files` hands malformed
files to the decoder, and some of them to a service.
"""

import argparse
import os
import random
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.kills import kills
from benchmarks.scale import keep
from models.core.errors import BadInput
from tests.support.service import ROOT, service


def main() -> None:
    """Read the command line, soak, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "files"))
    parser.add_argument("--count", type=int, required=True, help="how many kills, or files")
    parser.add_argument("--real", action="store_true", help="real songs of 4 s instead of songs of known cost")
    parser.add_argument("--seconds", type=float, default=40.0, help="what a song of known cost costs")
    parser.add_argument(
        "--minutes", type=float, default=600.0, help="kill for no longer than this, however many it were"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "soak.json")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        if given.what == "kills":
            chance = random.Random(given.seed)
            figures = kills(Path(folder), given.count, given.real, given.seconds, chance, given.minutes)
        else:
            figures = files(Path(folder), given.count, given.seed)
    print(figures)
    keep(given.out, f"{given.what} of real songs" if given.what == "kills" and given.real else given.what, figures)


def files(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Decode so many malformed files, each in its process, then hand one of each way to a service and a good song."""
    from tests.support.hostile import WAYS, malformed, sound, web_site

    os.environ["REMIX_HOME"] = str(folder / "home")
    song = sound(folder / "good.wav", seconds=4.0)
    ends: Counter[str] = Counter()
    by_way: dict[str, dict[str, Any]] = {}
    handed_in: dict[str, Path] = {}
    with web_site(song) as (url, asked):
        for path in malformed(folder, count, seed, url):
            end, seconds = decoding(path)
            ends[end] += 1
            way = by_way.setdefault(path.stem.partition("-")[2], {"decoded": 0, "refused": 0, "slowest_s": 0.0})
            way[end] += 1
            way["slowest_s"] = max(way["slowest_s"], round(seconds, 1))
            if end == "refused":
                handed_in[path.stem.partition("-")[2]] = path
        assert len(handed_in) == len(WAYS), "of each way something was refused"
        service = by_a_service(folder / "service", list(handed_in.values()), song)
    return {
        "files": count,
        **ends,
        "slowest_s": max(way["slowest_s"] for way in by_way.values()),
        "by_way": by_way,
        "left_over": len(list((folder / "home" / "tmp").glob("*"))),
        "addresses_asked": len(asked),
        "scripts_run": int((folder / "ran").exists()),
        "by_a_service": service,
    }


def decoding(path: Path) -> tuple[str, float]:
    """What became of a file, and how many seconds that took."""
    from tasks.runs.uploads import decoded_apart

    started = time.monotonic()
    try:
        decoded_apart(path)
        end = "decoded"
    except BadInput:
        end = "refused"
    return end, time.monotonic() - started


def by_a_service(home: Path, malformed: list[Path], song: Path) -> dict[str, Any]:
    """Malformed files and then a good song as runs of one worker: how they end, and whether that worker lives."""
    with service(home) as served:
        worker = served.running["worker"].pid
        runs = served.until_over(served.submit(*malformed))
        good = served.until_over(served.submit(song))
        return {
            "files": len(malformed),
            "ended": dict(Counter(run["state"] for run in runs.values())),
            "messages": sorted(run["message"].partition(".")[2].partition(" ")[2][:60] for run in runs.values()),
            "the_song_after_them": next(run["state"] for run in good.values()),
            "the_worker_lives": served.running["worker"].poll() is None and served.running["worker"].pid == worker,
        }


if __name__ == "__main__":
    main()
