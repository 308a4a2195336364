"""What many tests start from."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin for each other starve on busy cores
os.environ.setdefault("REMIX_OFFLINE", "1")  # tests of the hub say otherwise


@pytest.fixture(scope="module", autouse=True)
def threads_as_before() -> Iterator[None]:
    """Trainings pin torch's threads for their process, and the last bits of a sum depend on how many there are."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    yield
    if torch and before:
        torch.set_num_threads(before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("REMIX_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect test server for all tests that run flows."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=600):
        yield


@dataclass(frozen=True)
class Example:
    """A remix of the example song's first seconds, made once a session: look at it, change nothing in it.

    `store` is the home it was made in, `inputs` what each stage was called with, by the stage's name.
    """

    song: Path
    store: Path
    made: Any
    inputs: dict[str, dict[str, Any]]


EXAMPLE_S = 8.0


@pytest.fixture(scope="session")
def example(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The example song remixed with every default but a short outro, on the CPU."""
    from flows.remix import remix
    from models.audio.encode import write_wav
    from models.synthesis.example_song import example_song
    from tasks.cache import caching

    folder = tmp_path_factory.mktemp("example")
    song, store, inputs = folder / "a song.wav", folder / "store", {}
    write_wav(example_song(seconds=EXAMPLE_S).mix, song)
    key = caching.Stage.key

    def noted(of: Any, given: dict[str, Any]) -> str:
        inputs[of.name] = dict(given)
        return key(of, given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REMIX_HOME", str(store))
        patched.setattr(caching.Stage, "key", noted)
        made = remix(song=song, out=folder / "remixes", outro_bars=2, device="cpu")
    return Example(song, store, made, inputs)
