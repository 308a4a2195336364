"""Flows whose cost is known, to measure the service around them: they wait, and note when they began and ended."""

import json
import os
import time
from typing import Any

import numpy as np
from prefect import flow
from prefect.runtime import flow_run

from models.core.registry import home
from models.core.types import Clip
from tasks.cache.caching import stage
from tasks.cache.in_use import alone, claim_run, in_use
from tasks.cache.store import Store

claim_run()

STAGES = 5
"""How many stages a song of known cost has, one after the other."""


@flow(name="known-cost", persist_result=False)
def known_cost(number: int, seconds: float) -> None:
    """Wait for so many seconds."""
    started = time.time()
    time.sleep(seconds)
    note = {"number": number, "started": started, "ended": time.time(), "worker": os.environ.get("KNOWN_COST_WORKER")}
    folder = home() / "known-cost"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:06d}.part").write_text(json.dumps(note))
    (folder / f"{number:06d}.part").rename(folder / f"{number:06d}.json")


@stage("numpy")
def wait(audio: Clip, number: int, seconds: float) -> Clip:
    """A stage that waits, notes that it is done and leaves a clip, which is kept as any stage's is."""
    time.sleep(seconds)
    source = Store().source(audio)
    made = Store().put([source.read(0, source.frames) * 0.9], audio.sample_rate)
    note("computed", stage=f"{audio.sha256[:12]} {number}")
    return made


@flow(name="known-song", persist_result=False)
def known_song(number: int, seconds: float) -> None:
    """A song of known cost: stages that wait, each kept; another song for each number."""
    with in_use(), alone(f"run-{flow_run.id}"):
        note("began", song=number)
        done = home() / "known-cost" / f"song-{number}.done"
        if done.exists():  # as a real song's, `flows.deployments.remix.remix_song`
            return
        audio = Store().put([np.full((2, 1000), 1.0 / (number + 1), np.float32)], 44_100)
        for place in range(STAGES):
            audio = wait(audio, place, seconds / STAGES)
        note("remixed", song=number)
        done.touch()


def note(what: str, **more: Any) -> None:
    """Add a line to the notes of this home, at once and whole."""
    line = {"what": what, "at": time.time(), "worker": os.environ.get("KNOWN_COST_WORKER"), **more}
    folder = home() / "known-cost"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "notes.jsonl", "ab", buffering=0) as notes:
        notes.write((json.dumps(line) + "\n").encode())
