"""A disk that is full in the middle of a run: the service's home on a small file system in memory."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.audio.encode import write_wav
from models.synthesis.example_song import example_song
from tests.support.service import service

pytestmark = [pytest.mark.service, pytest.mark.timeout(1200)]

ROOM_BYTES = 512 << 20
LEFT_BYTES = 36 << 20
"""Less than the two clips that `split_vocals` leaves of 60 s (42 MB), more than all that a song of 4 s leaves."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_run_fails_with_the_reason_others_go_on_and_with_room_it_is_finished(small_disk, tmp_path):
    long, short = tmp_path / "long.wav", tmp_path / "short.wav"
    write_wav(example_song(seconds=60.0).mix, long)
    write_wav(example_song(seconds=4.0).mix, short)
    home, ballast = small_disk / "home", small_disk / "ballast"
    with service(home, PREFECT_HOME=str(tmp_path / "prefect")) as served:
        (stopped,) = served.submit(long)
        served.until_stage("separate")
        state = os.statvfs(small_disk)
        ballast.write_bytes(bytes(state.f_bavail * state.f_frsize - LEFT_BYTES))
        failed = served.until_over([stopped])[stopped]
        assert failed["state"] == "Failed"
        assert failed["message"].endswith("cannot be written: No space left on device."), failed
        assert not list((home / "tmp").glob("*")), "what was half written is gone"
        (other,) = served.submit(short)
        assert served.until_over([other])[other]["state"] == "Completed"
        ballast.unlink()
        assert served.remix("runs", "retry", stopped).returncode == 0
        assert served.until_over([stopped])[stopped]["state"] == "Completed"
        assert served.remix("runs", "retry", stopped).returncode == 2, "it is over and well"
        separations = [row for row in served.engine_log() if row.get("stage") == "separate"]
        assert len(separations) == 2, "one a song: what was finished is not done again"
