"""What is removed while one looks at it: it counts as gone, and ends nothing."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.core.vanishing_files import existing, total_bytes
from tasks.cache.collecting import collect, stats
from tasks.cache.in_use import in_use, oldest_start
from tasks.runs.remixes import old_remixes
from tasks.runs.uploads import old_uploads


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def vanishing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file that a folder names is gone before it is looked at, as if another process had removed it just then."""
    listed = Path.glob

    def glob(folder: Path, pattern: str) -> Iterator[Path]:
        for path in list(listed(folder, pattern)):
            if path.is_file():
                path.unlink()
            yield path

    monkeypatch.setattr(Path, "glob", glob)


def test_only_what_is_there_counts(tmp_path):
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    kept.write_bytes(b"abc")
    assert [(path, stat.st_size) for path, stat in existing([gone, kept])] == [(kept, 3)]
    assert total_bytes(iter([kept, gone])) == 3
    assert total_bytes([gone]) == 0


def test_what_vanishes_under_a_collection_ends_nothing(home, vanishing):
    for name in (
        "results/ingest-1", "results/stray", "decoded/a.json", "blobs/ab/abc.wav", "runs/1",
        "uploads/ab/song.wav", "remixes/r/song/manifest.json",
    ):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"{}")
    assert oldest_start() is None
    assert (old_uploads(0), old_remixes(0)) == ([], [])
    assert collect(0).bytes == 0
    assert stats().bytes == 0
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_run_is_marked_though_a_collector_takes_its_first_mark_for_a_dead_runs(home, monkeypatch):
    real, taken = fcntl.flock, []

    def flock(file, how):
        if not taken:
            taken.extend((home / "runs").iterdir())
            taken[0].unlink()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with in_use():
        assert taken
        assert oldest_start() is not None
    assert oldest_start() is None
