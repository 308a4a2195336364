"""A run that only tells the server that it began and ended: what is left of the cost is the queue's and the worker's.

A worker starts this instead of Prefect's own program, which takes seconds to be imported and would hide a slow queue.
"""

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def main() -> None:
    """Begin and end the run that the worker names in the environment."""
    run = os.environ["PREFECT__FLOW_RUN_ID"]
    asked("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "RUNNING"}})
    started = time.time()
    asked("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}})
    note = {"number": run, "started": started, "ended": time.time(), "worker": os.environ.get("KNOWN_COST_WORKER")}
    folder = Path(os.environ["REMIX_HOME"]) / "known-cost"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{run}.part").write_text(json.dumps(note))
    (folder / f"{run}.part").rename(folder / f"{run}.json")


def asked(method: str, path: str, body: dict[str, Any]) -> Any:
    """What the server answers; a busy one is asked again."""
    address = f"{os.environ['PREFECT_API_URL']}{path}"
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    request.method = method
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
