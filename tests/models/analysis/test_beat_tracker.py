"""The network that hears beats: what it is given, that it learns, and that a song in parts is heard as a whole."""

import numpy as np
import pytest
import torch

from models.analysis.beat_tracker.inference import FPS, features, predict
from models.analysis.beat_tracker.network import BeatTracker, load, save
from models.analysis.chroma import NOTES
from models.analysis.onset_features import BANDS, BandSpectra, max_near
from models.analysis.training.beat_tracker import (
    BeatTraining,
    Example,
    Recipe,
    augmented,
    masked_loss,
    targets,
    train,
    without_last_beats,
)
from models.analysis.training.dataset import examples, song_arrays
from models.core.curve import CURVE_FILE, read_rows
from models.core.errors import BadInput
from models.core.progress import Watch
from models.core.solver import TrainingRun
from models.core.types import Grid, Wave

FEATURES = 6 * BANDS + NOTES


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)  # as trainings are; and as before by `threads_as_before`


def untrained(depth: int = 5) -> BeatTracker:
    torch.manual_seed(0)
    return BeatTracker(depth=depth).eval()


def song(beats_s: np.ndarray, seconds: float = 40.0, seed: int = 0) -> Example:
    """A song that is loud in all bands of its drums on each beat, and in its bass on the first of four."""
    given = np.random.default_rng(seed).random((round(seconds * FPS), FEATURES)).astype(np.float16) / 10
    given[np.round(beats_s * FPS).astype(int), : 2 * BANDS] += 1
    given[np.round(beats_s[::4] * FPS).astype(int), 2 * BANDS : 4 * BANDS] += 1
    return Example(given, beats_s, beats_s[::4])


def test_logits_of_blocks_are_those_of_the_whole():
    network, given = untrained(6), np.random.default_rng(0).random((9000, FEATURES)).astype(np.float16)
    with torch.inference_mode():
        whole = network(torch.from_numpy(given.T.astype(np.float32))[None])[0].numpy()
    np.testing.assert_allclose(predict(given, network), whole, atol=1e-4)


def test_a_frame_depends_on_what_is_within_reach_and_no_more():
    network, given = untrained(3), np.random.default_rng(0).random((400, FEATURES)).astype(np.float16)
    other = given.copy()
    other[200] += 1
    changed = np.flatnonzero(np.abs(predict(given, network) - predict(other, network)).max(axis=0) > 1e-7)
    assert (changed[0], changed[-1]) == (200 - network.reach, 200 + network.reach)


def test_gain_does_not_matter_and_an_attack_is_seen_where_it_is():
    rng = np.random.default_rng(0)
    bands = [rng.random((600, BANDS)).astype(np.float32) * 1e-3 for _ in range(3)]
    bands[0][301] += 1
    notes = rng.random((30, NOTES))
    given = features(BandSpectra(*bands), notes)
    assert given.shape == (300, FEATURES)
    assert int(given[:, BANDS : 2 * BANDS].sum(axis=1).argmax()) == 150
    quieter = features(BandSpectra(*(b / 20 for b in bands)), notes / 20)
    np.testing.assert_allclose(given.astype(float), quieter.astype(float), atol=2e-3)


def test_near_finds_the_highest_within_40_ms():
    said = np.zeros(100)
    said[52] = 3.0
    np.testing.assert_array_equal(max_near(said, np.array([50, 51, 52, 54, 55]) / FPS, FPS, 0.04), [3, 3, 3, 3, 0])


def test_a_bar_of_four_becomes_one_of_three():
    beats = np.arange(0.5, 39, 0.5)
    frames, kept, downs = without_last_beats(np.arange(round(40 * FPS), dtype=float), beats, beats[1::4])
    assert np.median(np.diff(downs)) == pytest.approx(1.5, abs=0.02)
    np.testing.assert_allclose(np.diff(kept), 0.5, atol=0.03)
    assert len(kept) == len(beats) - len(downs) + 1
    assert np.all(np.diff(frames) >= 1)


@pytest.mark.parametrize("waltz", [0.0, 1.0])
def test_beats_stay_on_their_strokes_however_a_song_is_varied(waltz):
    recipe = Recipe(frames=1024, waltz=waltz, missing=0.0, gain=0.0)
    example = song(np.arange(0.31, 38, 0.47))
    for seed in range(8):
        given, wanted, known = augmented(example, recipe, np.random.default_rng(seed))
        strokes = given[: 2 * BANDS].mean(axis=0) > 0.4
        assert wanted[0][strokes & (known > 0)].mean() > 0.9
        assert (wanted[0] >= wanted[1]).all()


def test_training_learns_the_beat(tmp_path):
    known = [song(np.arange(0.2 + i / 50, 38, 0.4 + i / 40), seed=i) for i in range(6)]
    recipe = Recipe(steps=60, frames=256, batch=2, rate=5e-3, waltz=0.0, missing=0.0)
    before = BeatTraining(known[:5], known[5:], recipe)
    trained = train(known[:5], known[5:], recipe, TrainingRun(tmp_path), every=10)
    assert before.held_out_loss(trained) < before.held_out_loss(before.network) / 2
    rows = read_rows(tmp_path / CURVE_FILE)
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 50, 60]
    assert rows[-1]["held_out_loss"] == before.held_out_loss(trained), "validated with the EMA weights"
    said = predict(known[5].features, trained)
    assert (
        max_near(said[0], known[5].beats_s, FPS, 0.04).mean()
        > max_near(said[0], known[5].beats_s + 0.2, FPS, 0.04).mean() + 2
    )


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    known = [song(np.arange(0.2 + i / 50, 38, 0.4 + i / 40), seed=i) for i in range(3)]
    recipe = Recipe(steps=6, frames=128, batch=1)

    class Stopped(Exception):
        pass

    def stop(fraction: float) -> None:
        if fraction > 0.6:
            raise Stopped

    whole = train(known[:2], known[2:], recipe, TrainingRun(tmp_path / "whole"), every=2)
    with pytest.raises(Stopped):
        train(known[:2], known[2:], recipe, TrainingRun(tmp_path / "parts", Watch(stop)), every=2)
    parts = train(known[:2], known[2:], recipe, TrainingRun(tmp_path / "parts"), every=2)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(value, parts.state_dict()[name], rtol=0, atol=0)


def test_what_is_unknown_does_not_count():
    said, wanted = torch.zeros(1, 2, 10), torch.from_numpy(targets(np.array([0.02]), np.array([0.02]), 10))[None]
    known = torch.zeros(1, 10)
    known[:, :5] = 1
    changed = said.clone()
    changed[:, :, 5:] = 9
    assert masked_loss(said, wanted, known) == masked_loss(changed, wanted, known)


def test_weights_are_kept_and_others_are_refused(tmp_path):
    network = untrained(4)
    save(network, tmp_path / "beats.safetensors")
    given = np.random.default_rng(0).random((200, FEATURES)).astype(np.float16)
    np.testing.assert_allclose(predict(given, load(tmp_path / "beats.safetensors")), predict(given, network), atol=0.02)
    (tmp_path / "other.safetensors").write_bytes(b"no such thing")
    with pytest.raises(BadInput, match="beat tracker"):
        load(tmp_path / "other.safetensors")


def test_features_are_kept_as_examples(tmp_path):
    rng = np.random.default_rng(0)
    stems = {
        name: Wave(rng.normal(0, 0.1, (2, 88_200)).astype(np.float32), 44_100) for name in ("drums", "bass", "other")
    }
    grid = Grid((0.5, 1.0, 1.5), (0.5,), 120.0, 4, "C:maj", ("N",) * 3)
    np.savez(tmp_path / "song.npz", **song_arrays(grid, [stems, stems]))
    one, two = examples(tmp_path / "song.npz")
    np.testing.assert_array_equal(one.features, two.features)
    assert one.features.shape[1] == FEATURES
    np.testing.assert_array_equal(two.beats_s, grid.beats_s)
