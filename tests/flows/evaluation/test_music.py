import math

import numpy as np
import pytest

from flows.evaluation.known_songs import mixed, true_stems
from flows.evaluation.pipeline import independent_meters
from flows.evaluation.transcription import evaluate_transcription
from models.analysis.settings import F0Settings
from models.audio.encode import write_wav
from models.core.errors import BadInput
from models.core.types import Wave
from models.transcription.settings import TranscribeSettings


def test_transcription_is_told_by_stem_beside_basic_pitch():
    found = evaluate_transcription(None, "test", 1, 8.0, "band-mask", TranscribeSettings(), F0Settings())
    assert found["songs"] == 1
    for kind in ("true stems", "separated stems"):
        means = found["means"][kind]
        assert set(means) == {"drums", "bass", "other", "vocals"}
        for stem in ("bass", "other", "vocals"):
            for who in ("ours", "basic_pitch"):
                assert set(means[stem][f"{who} onset"]) == {"precision", "recall", "f1"}
        figures = [v for stem in means.values() for score in stem.values() for v in score.values()]
        assert all(0 <= v <= 1 and not math.isnan(v) for v in figures)
    clean = found["means"]["true stems"]
    assert clean["bass"]["ours onset"]["f1"] > 0.6
    assert clean["vocals"]["ours onset"]["f1"] > clean["vocals"]["basic_pitch onset"]["f1"]


def test_known_songs_are_what_their_stems_add_up_to():
    ((piece, stems),) = true_stems(None, "test", 1, 6.0)
    assert {track.name for track in piece.score.tracks} == set(stems)
    total = sum(wave.samples for wave in stems.values())
    np.testing.assert_allclose(mixed(stems).samples, total, atol=1e-6)
    assert len(piece.chord_labels) == len(piece.chord_times_s) > 4


def test_a_folder_without_songs_or_clips_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no POP909 songs"):
        list(true_stems(tmp_path, "test", 1, 6.0))


def test_loudness_is_told_by_two_meters_that_are_not_ours(tmp_path):
    tone = 0.1 * np.sin(2 * np.pi * 997 * np.arange(5 * 48_000) / 48_000)
    write_wav(Wave(np.stack([tone, tone]).astype(np.float32), 48_000), tmp_path / "tone.wav")
    heard = independent_meters(tmp_path / "tone.wav")
    assert heard["pyloudnorm_lufs"] == pytest.approx(-20.0, abs=0.2)
    assert heard["ffmpeg_lufs"] == pytest.approx(-20.0, abs=0.2)
    assert heard["ffmpeg_true_peak_dbtp"] == pytest.approx(-20.0, abs=0.2)
