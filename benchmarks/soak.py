"""What CI does a little of, at length: `make soak`, or `python -m benchmarks.soak kills --count 50`.

`kills` ends workers, server or database by SIGKILL at random moments while songs are made, and tells how many songs
were remixed, how often, and whether a finished stage was computed again (`benchmarks.kills`); `files` hands spoilt
files to the decoder.
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
from models.errors import BadInput
from tests.service import ROOT


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
    """Decode so many spoilt files, each in its process."""
    from tasks.uploads import decoded_apart
    from tests.hostile import malformed

    os.environ["REMIX_HOME"] = str(folder / "home")
    ends: Counter[str] = Counter()
    slowest = {"decoded": 0.0, "refused": 0.0}
    for path in malformed(folder, count, seed):
        started = time.monotonic()
        try:
            decoded_apart(path)
            end = "decoded"
        except BadInput:
            end = "refused"
        ends[end] += 1
        slowest[end] = max(slowest[end], time.monotonic() - started)
    left = len(list((folder / "home" / "tmp").glob("*")))
    return {"files": count, **ends, "slowest_s": {end: round(s, 1) for end, s in slowest.items()}, "left_over": left}


if __name__ == "__main__":
    main()
