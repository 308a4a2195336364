"""The Prefect tasks: stages, the cache around them, the engine that computes them, and the ends of a run.

stages/   a verb a file: read from the store, call one pure function of models, write to the store
cache/    content keys, locks, the store, the collector
engine/   networks that stay loaded, one engine process a machine
runs/     uploads, progress, provenance, publishing

Importing this package sets, before Prefect is imported, what this project wants of it unless the environment says
otherwise: no telemetry, patience, and a database of its own beside the store.
"""

import os
from contextlib import suppress
from pathlib import Path

from models.core.registry import home

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "300")  # 20 by default: too few when busy
os.environ.setdefault("PREFECT_HOME", str(home() / "prefect"))
with suppress(OSError):  # the command line says why it cannot be
    Path(os.environ["PREFECT_HOME"]).expanduser().mkdir(parents=True, exist_ok=True)
