"""What becomes of a batch's songs, on the work pool's side without workers, and on real local clusters."""

import importlib.util
import threading
import time

import pytest

from flows.deployments.batch import Outcome, batch_remix, outcomes
from flows.options import RemixOptions
from models.audio.encode import write_wav
from models.core.errors import BadInput
from models.synthesis.example_song import example_song
from tasks.runs import folders
from tests.support.hostile import sound

pytestmark = pytest.mark.usefixtures("home", "prefect_server")


@pytest.fixture
def no_artifacts(monkeypatch):
    from flows.deployments import batch

    monkeypatch.setattr(batch, "create_progress_artifact", lambda *a, **k: None)
    monkeypatch.setattr(batch, "update_progress_artifact", lambda *a, **k: None)


def test_one_failure_stops_no_other_and_no_more_work_at_once_than_allowed(tmp_path, no_artifacts):
    songs = [sound(tmp_path / f"{n}.wav", seconds=1.5 + n / 10) for n in range(4)]
    songs[1].write_bytes(b"no song")
    at_work, most, lock = 0, 0, threading.Lock()

    def remix(upload):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.3)
        with lock:
            at_work -= 1
        if upload.title == "2":
            raise RuntimeError("a fault")
        return Outcome(upload.title, "remixed")

    found = outcomes(songs, RemixOptions(voice="none"), remix, at_once=2)
    assert [outcome.state for outcome in found] == ["remixed", "failed", "failed", "remixed"]
    assert found[1].why.startswith("1.wav")
    assert found[2].why == "RuntimeError: a fault"
    assert most <= 2


def test_a_bar_that_cannot_be_drawn_ends_no_batch(tmp_path, monkeypatch):
    from flows.deployments import batch

    def away(*given, **more):
        raise ConnectionError("The server is away.")

    monkeypatch.setattr(batch, "create_progress_artifact", away)
    monkeypatch.setattr(batch, "update_progress_artifact", away)
    song = sound(tmp_path / "song.wav")
    found = outcomes([song], RemixOptions(voice="none"), lambda upload: Outcome(upload.title, "remixed"), at_once=1)
    assert [outcome.state for outcome in found] == ["remixed"]


def test_an_engine_that_is_not_installed_is_said_to_be(monkeypatch):
    import sys

    from flows.service.clusters import task_runner

    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    with pytest.raises(BadInput, match="dask is not installed"):
        task_runner("dask", 2)


@pytest.mark.service
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_batch_on_a_local_cluster_of_two_workers(engine, tmp_path, monkeypatch):
    if importlib.util.find_spec(f"prefect_{engine}") is None:
        pytest.skip(f"prefect-{engine} is not installed")
    from prefect.settings import get_current_settings

    monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
    music = tmp_path / "music"
    music.mkdir()
    for number in range(2):
        write_wav(example_song(seconds=4.0, seed=number).mix, music / f"{number}.wav")
    (music / "broken.wav").write_bytes(b"no song")
    folders.register("music", music)
    chosen = {"voice": "none", "backing": "original", "outro_bars": 0, "engine": engine}
    assert batch_remix(folder="music", **chosen, return_state=True).message == "2 remixed, 0 skipped, 1 failed."
    assert batch_remix(folder="music", **chosen, return_state=True).message == "0 remixed, 2 skipped, 1 failed."
