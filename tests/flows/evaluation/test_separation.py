import json

import numpy as np
import pytest
import soundfile

from flows.evaluation.separation import (
    BASELINES,
    STEMS,
    Trial,
    evaluate_separation,
    expected,
    present,
    rows,
    song_folders,
    source_table,
    table,
    true_stems,
)
from models.core import registry
from models.core.errors import BadInput
from models.separation.evaluation.scores import SourceScores, equal_split, scores


@pytest.fixture
def song(tmp_path):
    folder = tmp_path / "songs" / "one"
    folder.mkdir(parents=True)
    time = np.arange(44100 * 2) / 44100
    for hertz, name in ((90, "bass"), (600, "other"), (1500, "lead_vocals"), (2500, "backing_vocals")):
        soundfile.write(folder / f"{name}.wav", 0.2 * np.sin(2 * np.pi * hertz * time), 44100)
    soundfile.write(folder / "mixture.wav", np.zeros(10), 44100)
    return folder


def test_reads_stems_in_musdb_layout(song):
    truth = true_stems(song)
    assert truth.shape == (4, 2, 88200)
    assert not truth[STEMS.index("drums")].any()
    assert np.square(truth[3]).mean() == pytest.approx(2 * np.square(truth[1]).mean(), rel=0.01)
    assert song_folders(song) == song_folders(song.parent) == [song]


def test_a_folder_without_stems_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no stems"):
        song_folders(tmp_path)


def test_the_baselines_are_in_order(song):
    trials = list(evaluate_separation([song], []))
    sdr = {(t.separator, t.score.source): t.score.sdr for t in trials}
    assert {t.separator for t in trials} == set(BASELINES)
    assert np.isnan(sdr["ideal ratio mask", "drums"])
    for stem in ("bass", "other", "vocals"):
        assert sdr["ideal ratio mask", stem] > 15 > 3 > sdr["even share", stem]


def test_what_a_separator_does_not_part_belongs_to_its_other():
    truth = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 2, 3), np.float32)
    assert expected(truth, ["other", "vocals"])[:, 0, 0].tolist() == [0 + 1 + 2, 3]
    assert expected(truth, ["drums", "bass", "other", "vocals", "piano"])[:, 0, 0].tolist() == [0, 1, 2, 3, 0]


def test_what_is_no_other_may_be_called_otherwise_but_not_in_two_parts():
    truth = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 2, 3), np.float32)
    assert expected(truth, ["vocals", "accompaniment"])[:, 0, 0].tolist() == [3, 0 + 1 + 2]
    with pytest.raises(BadInput, match="guitar, piano cannot be evaluated: none of them is known to hold other"):
        expected(truth, ["drums", "bass", "vocals", "guitar", "piano"])


def test_the_gain_is_over_the_better_of_silence_and_a_quarter_of_the_mix():
    rng = np.random.default_rng(0)
    loudness = np.array([1.0, 1.0, 1.0, 0.1], np.float32)[:, None, None]
    truth = loudness * rng.standard_normal((4, 2, 44100)).astype(np.float32)
    half = scores(STEMS, truth, 0.5 * truth, 44100)
    assert half[3].sdr == pytest.approx(20 * np.log10(2), abs=0.01)
    assert half[3].gain == pytest.approx(half[3].sdr), "for a quiet stem, silence is the better answer"
    share = scores(STEMS, truth, equal_split(truth.sum(axis=0), 4), 44100)
    assert share[0].sdr > 1
    assert share[0].gain == pytest.approx(0, abs=1e-6)
    assert share[3].sdr == share[3].gain < -10


def splitter() -> str:
    """The file of a network that parts voices from each other, not from a band."""
    return str(registry.verified(registry.find("vocal_splitter", "lead-backing")))


@pytest.mark.weights
def test_a_network_that_is_no_separator_is_refused_before_anything_is_computed(song):
    with pytest.raises(BadInput, match="has the sources lead_vocals, backing_vocals, room; it needs vocals"):
        next(evaluate_separation([song], [splitter()]))


def test_the_table_has_a_row_a_separator():
    score = SourceScores("vocals", 1.234, -0.5, 0, 5.678, 0, 0, 0, 0)
    text = table([Trial("a", "mask-cnn", score)])
    assert "| a | mask-cnn |  |  |  | 1.23 (-0.50) | 5.68 |" in text
    json.dumps(text)


@pytest.mark.weights
def test_the_shipped_separator_is_scored(song):
    trials = [t for t in evaluate_separation([song], ["band-mask"]) if t.separator == "band-mask"]
    assert [t.score.source for t in trials] == list(STEMS)
    assert trials[1].score.sdr > 0


def test_rows_for_a_program_say_null_where_a_measure_is_not_defined():
    nan = float("nan")
    found = [Trial("a", "b", SourceScores("drums", nan, nan, 1.0, nan, nan, nan, nan, nan))]
    row = json.loads(json.dumps(rows(found), allow_nan=False))[0]
    assert (row["song"], row["source"], row["sdr"], row["si_sdr"]) == ("a", "drums", None, 1.0)


def test_means_over_songs_follow_the_songs():
    found = [
        Trial(song, "x", SourceScores("bass", sdr, sdr / 2, 0, 0, 0, 0, 0, 0)) for song, sdr in (("a", 1.0), ("b", 4.0))
    ]
    assert table(found).splitlines()[-1] == "| mean | x |  | 2.50 (+1.25) |  |  |  |"
    assert source_table(found).splitlines()[-1].startswith("| x | bass | 2.50 | 1.25 |")


def test_an_unusable_separator_is_refused_before_anything_is_computed(song):
    with pytest.raises(BadInput, match="no separator named"):
        next(evaluate_separation([song], ["band-musk"]))


@pytest.mark.weights
def test_remix_eval_separation(song):
    import typer
    from typer.testing import CliRunner

    from flows.cli import evaluation

    app = typer.Typer()
    evaluation.add_to(app)
    asked = ["eval", "separation", str(song), "--separator", "band-mask", "--no-bss-eval", "--device", "cpu"]
    result = CliRunner().invoke(app, [*asked, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {row["separator"] for row in found} == {*BASELINES, "band-mask"}
    assert all(row["bss_sdr"] is None for row in found)
    assert all(row["gain"] <= row["sdr"] for row in found if row["sdr"] is not None)
    shown = CliRunner().invoke(app, asked).stdout
    assert "| one | band-mask |" in shown
    assert "| ideal ratio mask | vocals |" in shown


def test_separators_that_need_no_fetching(tmp_path, monkeypatch):
    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    assert "band-mask" in present()
    assert not {"htdemucs", "htdemucs_ft"} & set(present())
