import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from flows.evaluation import continuation as evaluating
from flows.evaluation import transcribed_prompts
from models.core import registry
from models.core.errors import BadInput
from models.generation import sampling
from models.generation.chords import chord_number
from models.generation.evaluation import continuation, metrics
from models.generation.evaluation.robustness import error_rates, evaluate_robustness, with_beat_error
from models.generation.network import Config, MusicTransformer
from models.generation.tokenizer import FAMILIES, TICKS
from models.generation.training.transcription_noise import TranscribedPiece
from models.symbolic.midi import to_midi
from models.symbolic.score_ops import without_track
from models.synthesis.example_song.composition import compose

NO_CHORDS = np.zeros((0, 3), np.int64)
METRICS = {
    "nats_per_note", "in_key", "pitch_overlap", "groove", "onset_overlap", "self_repetition", "verbatim", "chord_tone"
}  # fmt: skip


@pytest.fixture
def quick(monkeypatch):
    """An untrained network in place of the shipped one, and bars of a few events."""
    torch.manual_seed(0)
    made = MusicTransformer(replace(Config.debug(), context=128)).eval()
    monkeypatch.setattr(sampling, "MAX_EVENTS_PER_BAR", 6)
    monkeypatch.setattr(evaluating, "load", lambda path: made)
    return made


@pytest.fixture
def midi(tmp_path):
    """Two MIDI files."""
    for seed in range(2):
        sheet = compose(seed, 60.0)
        (tmp_path / f"{seed}.mid").write_bytes(to_midi(without_track(sheet.score, "backing_vocals"), sheet.grid))
    return tmp_path


def test_a_folder_of_midi_files_is_evaluated(quick, midi):
    found = json.loads(json.dumps(evaluating.evaluate_continuation(midi), allow_nan=False))
    assert list(found["rows"]) == ["model", "real", "markov", "repeat", "other_song"]
    for row in found["rows"].values():
        assert set(row) >= METRICS
        assert all(set(value) >= {"mean", "low", "high"} for value in row.values())
    assert found["rows"]["real"]["in_key"]["mean"] == 1
    assert 0 < found["rows"]["real"]["chord_tone"]["mean"] <= 1
    assert set(found["prompt_gain"]) >= {"mean", "low", "high"}
    assert found["melody_gain"]["mean"] is not None
    assert found["seconds_16_bars"] > 0
    assert found["sha256"] == registry.find("music_transformer", "small").sha256
    assert found["songs"] == 2


def test_without_a_folder_the_example_song_is_evaluated():
    material = evaluating.own_songs()
    assert len(material.held_out) == evaluating.OWN_SONGS
    assert {p.shift for p in material.held_out} != {0}
    for piece in material.held_out:
        trial = continuation.excerpt_at(piece)
        assert trial is not None
        assert piece.families >= {FAMILIES.index("melody"), FAMILIES.index("bass"), FAMILIES.index("drums")}
        assert metrics.in_key(trial.real, piece.shift) == 1


def test_of_the_collections_only_what_was_held_out_is_judged(quick, midi, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "openmsx"
    folder.mkdir(parents=True)
    for i in range(3):
        (folder / f"{i}.mid").write_bytes((midi / f"{i % 2}.mid").read_bytes())
    weights = tmp_path / "weights.safetensors"
    with pytest.raises(BadInput, match="Which songs were held out is not known"):
        evaluating._collections(tmp_path / "data", (), weights)
    weights.with_suffix(".json").write_text(json.dumps({"held_out": ["openmsx/0", "openmsx/1"]}))
    material = evaluating._collections(tmp_path / "data", (), weights)
    assert material is not None
    assert (len(material.held_out), len(material.training)) == (2, 1)
    with pytest.raises(BadInput, match="There is no 'pop909'"):
        evaluating._collections(tmp_path / "data", ("pop909",), weights)


def test_folders_without_music_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no MIDI files"):
        evaluating.evaluate_continuation(tmp_path)


def test_a_collection_that_is_not_there_is_not_passed_over(midi):
    with pytest.raises(BadInput, match="holds none of the collections trained on, so no 'pop909' can be chosen"):
        evaluating.evaluate_continuation(midi, ("pop909",))
    with pytest.raises(BadInput, match="To choose 'pop909' say the folder"):
        evaluating.evaluate_continuation(None, ("pop909",))


def test_what_is_played_and_heard_perfectly_is_the_piece():
    piece = evaluating.own_songs().held_out[1]
    score, grid = transcribed_prompts.score_and_grid(piece)
    heard = transcribed_prompts._quantized(score, replace(grid, chords=("G:maj",) * len(grid.beats_s)), piece)
    np.testing.assert_array_equal(np.unique(heard.notes, axis=0), np.unique(piece.notes, axis=0))
    assert heard.chords.tolist() == [[0, 0, chord_number("G")]]
    assert transcribed_prompts.score_and_grid(replace(piece, shift=-2))[1].key == "D:maj"


def test_every_part_sounds_in_the_mix():
    piece = evaluating.own_songs().held_out[0]
    short = replace(piece, bar_beats=piece.bar_beats[:3], notes=piece.notes[piece.notes[:, 0] < 3])
    score, _ = transcribed_prompts.score_and_grid(short)
    whole = transcribed_prompts.mixed(score, seed=0)
    assert whole.samples.shape[0] == 2
    assert np.abs(whole.samples).max() <= 1
    for track in score.tracks:
        part = transcribed_prompts.mixed(without_track(score, track.name), seed=0)
        assert np.abs(whole.samples[:, : part.frames] - part.samples).max() > 0.01


def trial() -> continuation.Excerpt:
    found = continuation.excerpt_at(evaluating.own_songs().held_out[0])
    assert found is not None
    return found


def test_a_transcribers_errors_are_counted():
    true = trial()
    notes = true.piece.notes
    pitched = np.flatnonzero(notes[:, 2] == FAMILIES.index("bass"))
    heard = notes.copy()
    heard[pitched[0], 3] += 12
    heard[pitched[1], 1] += 1
    stray = np.array([[3, 7, FAMILIES.index("bass"), 20, 4]])
    heard = np.concatenate([np.delete(heard, pitched[2], 0), stray])
    rates = error_rates([TranscribedPiece(true.piece, heard, NO_CHORDS)])
    one = round(1 / len(notes), 3)
    assert rates == {"missed": one, "octave": one, "spurious": one, "moved": one}
    assert set(error_rates([TranscribedPiece(true.piece, notes, NO_CHORDS)]).values()) == {0}


def test_wrong_beats_move_notes_as_they_would():
    true = trial()
    first = true.prompt[np.lexsort((true.prompt[:, 1], true.prompt[:, 0]))][-1]
    at = first[0] * 4 * TICKS + first[1]
    for error, factor, late in (("half_tempo", 0.5, 0), ("double_tempo", 2, 0), ("late_downbeat", 1, TICKS)):
        piece = with_beat_error(true.piece, error)
        assert piece.bars > continuation.NEW_BARS
        moments = piece.notes[:, 0] * 4 * TICKS + piece.notes[:, 1]
        assert moments.max() == round((at + late) * factor)
        assert piece.notes[:, 0].max() < piece.bars - continuation.NEW_BARS
        assert set(piece.notes[:, 3]) == set(true.prompt[:, 3])


def test_a_melody_heard_without_error_keeps_its_worth_and_one_unheard_loses_it(quick):
    true = [t.piece for p in evaluating.own_songs().held_out[:2] if (t := continuation.excerpt_at(p)) is not None]
    quick.config = replace(quick.config, context=2048)  # or of the prompt nothing is seen
    for parameter in quick.parameters():  # untrained, all events are alike to it
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    found = evaluate_robustness(
        quick, [TranscribedPiece(piece, piece.notes, NO_CHORDS) for piece in true], evaluating.DEFAULTS
    )
    assert found["melody_gain_transcribed"]["mean"] == pytest.approx(found["melody_gain_clean"]["mean"], abs=1e-6)
    assert found["prompt_gain_transcribed"] == found["prompt_gain_transcribed_without_chords"], "it has no chords"
    lost = evaluate_robustness(
        quick, [TranscribedPiece(piece, piece.notes[:0], NO_CHORDS) for piece in true], evaluating.DEFAULTS
    )
    for gain in ("prompt_gain", "melody_gain"):
        assert lost[f"{gain}_transcribed"]["mean"] != pytest.approx(found[f"{gain}_transcribed"]["mean"], abs=1e-6)
    assert 0 <= found["in_key_half_tempo"]["mean"] <= 1
    json.dumps(found, allow_nan=False)
