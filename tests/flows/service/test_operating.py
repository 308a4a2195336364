"""docs/operating.md: each command in it that is marked `sh` is run, in order, against a real service."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.audio.encode import write_wav
from models.synthesis.example_song import example_song
from tests.support.service import ROOT, Service

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.service
@pytest.mark.timeout(1200)
def test_every_command_of_the_guide_works(tmp_path):
    song = tmp_path / "a song.wav"
    write_wav(example_song(seconds=4.0).mix, song)
    commands = tmp_path / "bin"
    commands.mkdir()
    script = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom flows.cli import main\nmain()\n"
    (commands / "remix").write_text(script)
    (commands / "remix").chmod(0o755)
    served = Service(tmp_path / "home")
    try:
        served.serve()
        path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = served.variables(SONG=str(song), PATH=path)
        for block in BLOCKS:
            command = ["bash", "-euo", "pipefail", "-c", block]
            done = subprocess.run(
                command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
            )
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    finally:
        served.stop()
    assert len(BLOCKS) >= 5
