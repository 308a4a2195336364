"""Two songs and one GPU: its stages have it one at a time, and the CPU stages of one song go on beside it."""

import threading
from contextlib import suppress
from multiprocessing.connection import Listener
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from models.core.types import Clip
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.engine.engine import _answer, _Call, take_turns

LIMIT = "gpu of two songs"
PATIENCE_S = 120.0

HAPPENED: dict[str, threading.Event] = {}
ON_GPU: list[int] = []
SLOTS: list[int] = []


def happened(what: str) -> threading.Event:
    return HAPPENED.setdefault(what, threading.Event())


@stage("numpy")
def before_gpu(audio: Clip, song: str) -> Clip:
    """A CPU stage."""
    happened(f"{song} before").set()
    return audio


@stage("numpy", resident=True)
def on_gpu(audio: Clip, song: str) -> Clip:
    """A network's stage: the first song's ends only when a CPU stage of the second has begun, and the other way round.

    Were no CPU stage to go on beside it, it would wait in vain.
    """
    ON_GPU.append(1)
    with get_client(sync_client=True) as client:
        SLOTS.append(client.read_global_concurrency_limit_by_name(LIMIT).active_slots)
    happened(f"{song} on gpu").set()
    beside = "second before" if song == "first" else "first after"
    assert happened(beside).wait(PATIENCE_S), f"{beside}: it does not go on beside the GPU's stage"
    assert sum(ON_GPU) == 1
    ON_GPU.append(-1)
    return audio


@stage("numpy")
def after_gpu(audio: Clip, song: str) -> Clip:
    """A CPU stage; the first song's ends only when the second song has the GPU."""
    happened(f"{song} after").set()
    if song == "first":
        assert happened("second on gpu").wait(PATIENCE_S)
    return audio


@flow
def a_song(song: str, loud: float) -> str:
    """CPU, GPU, CPU."""
    audio = Store().put([np.full((2, 100), loud, np.float32)], 44_100)
    return after_gpu(on_gpu(before_gpu(audio, song), song), song).sha256


@pytest.fixture
def gpu_engine(prefect_server, home, tmp_path: Path, monkeypatch):
    """A worker's engine that holds the limit of a GPU, which is none."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(LIMIT, 1)
    calls: SimpleQueue[_Call] = SimpleQueue()
    with Listener(str(tmp_path / "engine"), "AF_UNIX") as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=_answer, args=(listener.accept(), calls), daemon=True).start()

        threading.Thread(target=take_turns, args=(calls, LIMIT), daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setenv("REMIX_ENGINE", str(tmp_path / "engine"))
        yield


@pytest.mark.usefixtures("gpu_engine")
def test_cpu_stages_of_one_song_overlap_the_gpu_stage_of_the_other():
    ended: dict[str, str] = {}
    threads = []
    for song, loud in (("first", 0.25), ("second", 0.5)):
        threads.append(threading.Thread(target=lambda s=song, v=loud: ended.update({s: a_song(s, v)})))
        threads[-1].start()
        assert happened(f"{song} before").wait(PATIENCE_S)
        if song == "first":
            assert happened("first on gpu").wait(PATIENCE_S)
    for thread in threads:
        thread.join(2 * PATIENCE_S)
    assert set(ended) == {"first", "second"}
    assert SLOTS == [1, 1], "the limit was held in each turn"
