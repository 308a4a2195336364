import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from flows.evaluation.voice import clips_of, loudest
from models.conversion.evaluation.voice import example_clip
from models.core.errors import BadInput
from models.core.types import Wave

RATE = 8000


def test_the_json_has_null_where_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.cli.commands import app
    from flows.evaluation import voice

    nothing = {"clips": ["a"], "means": {"world": {"like_target": (float("nan"), 0.5, float("nan"))}}}
    asked: list[float] = []
    monkeypatch.setattr(voice, "evaluate_voice", lambda name, clips, seconds, **_: asked.append(seconds) or nothing)
    told = CliRunner().invoke(app, ["eval", "voice", "--voice", "world", "--seconds", "4", "--json"])
    found = json.loads(told.stdout, parse_constant=lambda word: pytest.fail(word))
    assert found["means"]["world"]["like_target"] == [None, 0.5, None]
    assert CliRunner().invoke(app, ["eval", "voice", "--seconds", "3.9", "--json"]).exit_code == 2
    assert asked == [4.0]


def test_the_shortest_clip_that_may_be_asked_for_can_be_made() -> None:
    assert example_clip(4.0).audio.duration_s == pytest.approx(4.0, abs=0.1)


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
