from dataclasses import replace

import numpy as np
import pytest
import torch
from prefect.logging import disable_run_logger

from flows.evaluation import transcribed_prompts
from flows.training.music_transformer import fit
from models.core.curve import CURVE_FILE, read_rows
from models.core.errors import BadInput, Cancelled
from models.core.progress import Watch
from models.core.solver import CHECKPOINT_FILE, TrainingRun, ema_weights
from models.generation import tokenizer
from models.generation.evaluation import metrics
from models.generation.network import Batch, Config, MusicTransformer, load, save
from models.generation.tokenizer import DRUMS, FAMILIES, Piece
from models.generation.training import corpus
from models.generation.training.corpus import Entry
from models.generation.training.music_transformer import (
    Recipe,
    TransformerTraining,
    event_losses,
    event_losses_bfloat16,
    solver_of,
)
from models.generation.training.transcription_noise import TranscribedPiece
from models.generation.training.windows import Augmentation, Windows
from models.symbolic.midi import to_midi
from models.synthesis.example_song.composition import compose

BASS, PIANO, MELODY = (FAMILIES.index(f) for f in ("bass", "piano", "melody"))
BEATS = (0, 12, 24, 36)
LATER = np.array([16, 0, 0, 0, 0])
RECIPE = Recipe(
    replace(Config.debug(), context=64), steps=4, events=128, windows=((0.0, 32), (0.5, 64)), compiled=False
)


def loop(seed: int, families: tuple[int, ...] = (BASS, PIANO, MELODY)) -> Piece:
    """Sixteen bars that repeat a bar of random notes."""
    rng = np.random.default_rng(seed)
    bar = [(0, t, f, int(p), 12) for f in families for t, p in zip(BEATS, rng.integers(40, 80, 4), strict=True)]
    rows = [(b, *row[1:]) for b in range(16) for row in bar]
    return Piece(4, 120.0, 0, np.full(16, 4), np.array(sorted(rows)), np.array([(0, 0, 1), (8, 0, 43)]))


def entries() -> list[Entry]:
    grooves = [Entry(f"groove/{i}", "groove", f"groove/{i}", loop(i, (DRUMS,))) for i in range(2)]
    bands = [Entry(f"openmsx/{i}", "openmsx", f"openmsx/{i}", loop(i + 5)) for i in range(2)]
    return [Entry(f"pop909/{i}", "pop909", f"pop909/{i}", loop(i)) for i in range(4)] + bands + grooves


def test_windows_are_of_one_length_and_teach_only_what_is_written():
    windows = Windows(entries(), Augmentation(), seed=0)
    for _ in range(40):
        window = windows.window(100)
        events = window.events
        assert {len(getattr(events, f)) for f in type(events).__dataclass_fields__} == {100}
        assert (np.diff(events.time[events.token == tokenizer.BAR]) > 0).all()
        assert not (window.loss_mask & (events.token < tokenizer.BAR)).any()
        assert events.predicts_next[np.flatnonzero(window.loss_mask) - 1].all()


@pytest.mark.parametrize("known", [0, 1])
def test_transcribed_bars_have_no_loss_and_what_follows_is_whole(known):
    """The listener took every bass note for a guitar's, two octaves up, and heard nothing else."""
    piece = loop(0)
    bass = piece.notes[piece.notes[:, 2] == BASS]
    wrong = TranscribedPiece(piece, bass + np.array([0, 0, FAMILIES.index("guitar") - BASS, 24, 0]), piece.chords[:0])
    certain = Augmentation(
        ensemble=0, accompany=0, wrong_key=0, dropped_track=0, transcribed=1, own_transcription=known
    )
    windows = Windows([replace(entries()[0], piece=piece)], certain, 0, [wrong])
    window = windows._excerpt(400)
    token, first = window.events.token, int(np.flatnonzero(window.events.predicts_next)[0])
    families = [set(tokenizer.FAMILY_OF[part[part >= tokenizer.DRUM]].tolist()) for part in np.split(token, [first])]
    assert families == [{FAMILIES.index("guitar")}, piece.families]
    assert not window.loss_mask[: first + 1].any()
    assert window.loss_mask[first + 1 :].any()
    assert (token[:first] == tokenizer.BAR).sum() in range(5, 14), "four to twelve bars heard, and the next one"


def test_a_piano_piece_is_orchestrated_for_a_band():
    dealt = Windows(entries(), Augmentation(), seed=0).orchestrate(loop(0, (PIANO, MELODY)))
    assert dealt.families >= {DRUMS, BASS, MELODY}
    classes = [set((p.notes[p.notes[:, 2] != DRUMS, 3] % 12).tolist()) for p in (dealt, loop(0, (PIANO, MELODY)))]
    assert classes[0] == classes[1]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Two threads add in an order of their own, so equal bytes are promised for one, as trainings have."""
    torch.set_num_threads(1)  # and as before by `threads_as_before`


def test_training_stopped_and_resumed_is_the_same_training(tmp_path):
    recipe = replace(RECIPE, checkpoint_every=1)
    stopped = solver_of(
        TransformerTraining(entries(), recipe),
        TrainingRun(tmp_path / "parts", Watch(cancelled=lambda: stopped.step == 3)),
    )
    with pytest.raises(Cancelled):
        stopped.train()
    resumed = solver_of(TransformerTraining(entries(), recipe), TrainingRun(tmp_path / "parts"))
    assert resumed.step == 3
    resumed.train()
    whole = solver_of(TransformerTraining(entries(), recipe), TrainingRun(tmp_path / "whole"))
    whole.train()
    for name, value in whole.averaged.state_dict().items():
        torch.testing.assert_close(resumed.averaged.state_dict()[name], value, rtol=0, atol=0)


def test_training_learns_and_can_end_by_the_clock(tmp_path):
    long = replace(RECIPE, steps=60, windows=((0.0, 64),), events=256, warmup=5)
    training = TransformerTraining(entries(), long)
    batch, families, learned = next(training.windows.batches(4, 64))

    def nats() -> float:
        with torch.no_grad():
            result = event_losses(training.network, batch, families)
        return float(((result.event + result.length) * learned).sum() / learned.sum())

    before = nats()
    solver_of(training, TrainingRun(tmp_path)).train()
    assert nats() < before - 1.0
    rows = read_rows(tmp_path / CURVE_FILE)
    assert [row["step"] for row in rows] == [20, 40, 60]
    assert 0 <= rows[0]["accuracy"] < rows[-1]["accuracy"] <= 1
    clock = solver_of(TransformerTraining(entries(), replace(RECIPE, seconds=0.2)), TrainingRun(tmp_path / "clock"))
    clock.train()
    assert clock.seconds >= 0.2


def test_training_goes_on_from_given_weights():
    torch.manual_seed(7)
    given = MusicTransformer(RECIPE.config)
    training = TransformerTraining(entries(), RECIPE, given)
    for name, value in training.network.state_dict().items():
        torch.testing.assert_close(value, given.state_dict()[name])


def test_bfloat16_computes_nearly_the_same():
    network = MusicTransformer(RECIPE.config)
    batch, families, _ = next(Windows(entries(), Augmentation(), 0).batches(2, 32))
    exact, rough = event_losses(network, batch, families), event_losses_bfloat16(network, batch, families)
    for one, other in ((exact.event, rough.event), (exact.length, rough.length)):
        torch.testing.assert_close(other, one, rtol=0.05, atol=0.05)
    assert isinstance(batch, Batch)


def test_versions_and_near_duplicates_stay_on_one_side():
    random = [Entry(f"pop909/{i}", "pop909", f"pop909/{i}", _tune(i)) for i in range(60)]
    version = Entry("pop909/7-v1", "pop909", "pop909/7", _tune(7))
    moved = replace(_tune(9), notes=_tune(9).notes + np.array([0, 0, 0, 5, 0]))
    copy = Entry("nottingham/copy", "nottingham", "nottingham/copy", moved)
    everything = [*random, version, copy]
    families = corpus.near_duplicates(everything)
    assert families["nottingham/copy"] == families["pop909/9"]
    assert families["pop909/1"] != families["pop909/2"]
    held = corpus.held_out(everything, share=0.4)
    assert 5 < len(held) < 45
    assert "pop909/7-v1" not in held
    assert ("pop909/9" in held) == ("nottingham/copy" in held)
    learnt, tested = corpus.train_test_split(everything, held)
    assert not {e.song for e in learnt} & {e.song for e in tested}


def _tune(seed: int) -> Piece:
    rng = np.random.default_rng(seed)
    rows = [(b, t, MELODY, int(p), 12) for b in range(12) for t, p in zip(BEATS, rng.integers(55, 80, 4), strict=True)]
    return Piece(4, 100.0, 0, np.full(12, 4), np.array(rows), np.zeros((0, 3), np.int64))


def test_a_midi_file_becomes_a_piece_with_its_key_and_chords(tmp_path):
    sheet = compose(2, 30.0)
    (tmp_path / "song.mid").write_bytes(to_midi(sheet.score, sheet.grid))
    piece = corpus.piece_of_midi(tmp_path / "song.mid", by_name=True)
    assert piece is not None
    assert piece.families >= {DRUMS, BASS, MELODY}
    assert piece.metre == 4
    assert metrics.in_key(piece.notes, piece.shift) == 1
    assert len(piece.chords) > 4
    saved = [Entry("a/b", "a", "b", piece)]
    corpus.save(saved, tmp_path / "corpus.npz")
    (again,) = corpus.load(tmp_path / "corpus.npz")
    np.testing.assert_array_equal(again.piece.notes, piece.notes)
    np.testing.assert_array_equal(again.piece.chords, piece.chords)
    (tmp_path / "bad.mid").write_bytes(b"not midi")
    assert corpus.piece_of_midi(tmp_path / "bad.mid") is None
    with pytest.raises(BadInput, match="no MIDI collection"):
        next(corpus.read(tmp_path, ["pop909"]))


def test_what_ships_is_mixed_with_what_training_started_from(tmp_path):
    corpus.save(entries(), tmp_path / "corpus.npz")
    (tmp_path / "split.json").write_text("[]")
    torch.manual_seed(3)
    start = MusicTransformer(RECIPE.config)
    save(start, tmp_path / "start.safetensors")
    size = {name: getattr(RECIPE.config, name) for name in ("width", "layers", "heads", "context")}
    how = {"steps": 4, "events": 128, "windows": ((0.0, 32),), "compiled": False, "warmup": 1, "other_rate": 0.1}
    result = {}
    for blend in (0.0, 0.5, 1.0):  # the second and third go on from the first one's last step
        with disable_run_logger():
            weights = fit.fn(tmp_path, size, how, tmp_path / "start.safetensors", blend)
        result[blend] = load(weights).token.weight
    halves = ema_weights(tmp_path / CHECKPOINT_FILE)["token.weight"]
    old = load(tmp_path / "start.safetensors").token.weight
    torch.testing.assert_close(result[0.0], old, atol=2e-3, rtol=0)
    torch.testing.assert_close(result[1.0], halves, atol=2e-3, rtol=0)
    torch.testing.assert_close(result[0.5], (old + halves) / 2, atol=2e-3, rtol=0)
    assert (halves - old).abs().max() > 0.02


def test_songs_are_transcribed_once_each_and_kept(tmp_path, monkeypatch):
    estimate = []

    def quick(piece, seed):
        estimate.append(seed)
        return TranscribedPiece(piece, piece.notes[::2], piece.chords[:0])

    monkeypatch.setattr(transcribed_prompts, "transcribed_piece", quick)
    long = replace(loop(0), bar_beats=np.full(32, 4), notes=np.concatenate([loop(0).notes, loop(1).notes + LATER]))
    songs = [Entry(f"pop909/{i}", "pop909", f"pop909/{i}", long) for i in range(3)]
    first = transcribed_prompts.transcribe_songs(songs, 2, tmp_path / "transcribed")
    again = transcribed_prompts.transcribe_songs(songs, 3, tmp_path / "transcribed")
    assert len(estimate) == len(set(estimate)) == len(again) == 3
    assert all(one.piece.bars == 24 and len(one.notes) < len(one.piece.notes) for one in again)
    np.testing.assert_array_equal(first[1].notes, again[1].notes)
