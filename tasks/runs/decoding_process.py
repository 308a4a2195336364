"""`python -m tasks.runs.decoding_process FILE`: decode one untrusted file into the store, and say so as JSON lines.

Each line is {"at": fraction}; the last is {"title", "clip"} or {"refused": one sentence}. It runs with limits of memory
and processor time that the kernel enforces.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from models.audio.decode import SAMPLE_RATE, decode
from models.audio.settings import IngestSettings
from models.audio.tags import read_tags
from models.core.errors import BadInput
from models.core.progress import Watch
from tasks.cache.store import Store

MEMORY_BYTES = 4 << 30
CPU_S = 1200


def main(file: str) -> None:
    """Decode, store and report."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    path, watch = Path(file), Watch(lambda fraction: print(json.dumps({"at": fraction}), flush=True))
    try:
        tags = read_tags(path)
        clip = Store().put(decode(path, IngestSettings(), watch), SAMPLE_RATE)
        answer: dict[str, object] = {"title": tags.title, "clip": asdict(clip)}
    except BadInput as error:
        answer = {"refused": str(error).replace(file, path.name)}
    except MemoryError:
        answer = {"refused": f"{path.name} needs more memory to decode than a song does."}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
