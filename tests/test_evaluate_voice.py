from pathlib import Path

import numpy as np
import pytest
import soundfile

from flows.evaluate_voice import clips_of, loudest
from models.errors import BadInput
from models.records import Wave

RATE = 8000


def test_the_loudest_stretch_is_judged() -> None:
    audio = np.full(10 * RATE, 0.01, np.float32)
    audio[6 * RATE : 8 * RATE] = 0.5
    found = loudest(Wave(audio[None], RATE), 2.0)
    assert found.frames == 2 * RATE
    assert found.samples.min() > 0.4
    assert loudest(Wave(audio[None], RATE), 20.0).frames == 10 * RATE


def test_clips_are_the_audio_files_of_a_folder_and_a_broken_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no clips"):
        clips_of(tmp_path, 1.0)
    soundfile.write(tmp_path / "b.wav", np.zeros((RATE, 2)), RATE)
    soundfile.write(tmp_path / "a.flac", np.zeros(3 * RATE), RATE)
    assert [(clip.name, clip.audio.frames) for clip in clips_of(tmp_path, 1.0)] == [("a", RATE), ("b", RATE)]
    (tmp_path / "c.wav").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"c\.wav cannot be read"):
        clips_of(tmp_path, 1.0)
