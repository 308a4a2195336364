"""A flow whose cost is known, to measure the service around it: it waits, and notes when it began and ended."""

import json
import os
import time
from pathlib import Path

from prefect import flow

import tasks  # noqa: F401  # telemetry off


@flow(name="known-cost", persist_result=False)
def known_cost(number: int, seconds: float) -> None:
    """Wait for so many seconds."""
    started = time.time()
    time.sleep(seconds)
    note = {"number": number, "started": started, "ended": time.time(), "worker": os.environ.get("KNOWN_COST_WORKER")}
    folder = Path(os.environ["REMIX_HOME"]) / "known-cost"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:06d}.json").write_text(json.dumps(note))
