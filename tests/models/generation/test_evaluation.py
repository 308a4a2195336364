from dataclasses import replace

import numpy as np
import pytest
import torch

from models.core.errors import BadInput
from models.generation import GenerateSettings, sampling
from models.generation.evaluation import continuation, likelihood, metrics
from models.generation.evaluation.markov import Markov
from models.generation.network import Config, MusicTransformer
from models.generation.ngram_cache import ORDERS
from models.generation.tokenizer import FAMILIES, Piece

BASS, PIANO, MELODY = (FAMILIES.index(f) for f in ("bass", "piano", "melody"))


def untrained() -> MusicTransformer:
    torch.manual_seed(0)
    made = MusicTransformer(replace(Config.debug(), context=128))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return made.eval()


def loop(bars: int = 24, seed: int = 0, shift: int = 0) -> Piece:
    """A four-bar loop of bass, chords and melody in C (sounding `shift` semitones lower)."""
    rng = np.random.default_rng(seed)
    tune = rng.choice([60, 62, 64, 65, 67, 69, 71], (4, 4))
    rows = []
    for bar in range(bars):
        root = (36, 45, 41, 43)[bar % 4]
        rows.append((bar, 0, BASS, root, 48))
        rows += [(bar, 0, PIANO, 24 + root + step, 48) for step in (0, 7, 12)]
        rows += [(bar, 12 * beat, MELODY, int(tune[bar % 4, beat]), 12) for beat in range(4)]
    notes = np.unique(np.array(rows), axis=0) - np.array([0, 0, 0, shift, 0])
    return Piece(4, 120.0, shift, np.full(bars, 4), notes, np.zeros((0, 3), np.int64))


def test_markov_learns_what_it_is_shown_and_forgets_what_is_taken_back():
    markov, shown = Markov(), loop()
    markov.learn(loop(seed=1))
    before = markov.nats_per_note(shown)
    markov.learn(shown)
    assert markov.nats_per_note(shown) < before - 0.3
    markov.learn(shown, -1)
    assert markov.nats_per_note(shown) == pytest.approx(before, abs=0.05)


def test_markov_writes_valid_notes():
    markov = Markov()
    markov.learn(loop())
    rows = markov.write(loop(), 8, 12, [BASS, PIANO, MELODY], np.random.default_rng(0))
    assert set(rows[:, 2]) <= {BASS, PIANO, MELODY}
    assert set(rows[:, 0]) <= {8, 9, 10, 11}
    assert (rows[:, 1] < 48).all()
    assert len(rows) > 8


def test_the_ngram_cache_lowers_the_nats_of_a_repetitive_song():
    network, piece = untrained(), loop()
    probs = likelihood.event_probabilities(network, piece, piece.families)
    assert probs.note.sum() == len(piece.notes)
    fit_cache_weights = likelihood.fit_cache_weights(network, [probs]).config
    assert all(0 <= w <= 1 for w in fit_cache_weights.event_trust)
    with_memory = probs.nats_per_note(fit_cache_weights.event_trust, fit_cache_weights.length_trust)
    assert with_memory < probs.nats_per_note() / 2
    assert probs.nats_per_note((0.0,) * len(ORDERS), (0.0,) * len(ORDERS)) == pytest.approx(probs.nats_per_note())


def test_probabilities_of_a_part_are_those_of_the_whole():
    network, piece = untrained(), loop(bars=6)
    network.config = replace(network.config, context=1000)
    whole, end = (likelihood.event_probabilities(network, piece, piece.families, start=s) for s in (0, 3))
    np.testing.assert_allclose(whole.network[-len(end.network) :], end.network, rtol=1e-4)
    np.testing.assert_allclose(whole.cache[-len(end.cache) :], end.cache)


def test_metrics_separate_good_bars_from_bad():
    trial = continuation.excerpt_at(loop(bars=24))
    assert trial is not None
    real = continuation.continuation_metrics(trial, trial.real, trial.real)
    assert real["in_key"] == 1
    assert real["self_repetition"] == real["verbatim"] == 1
    assert real["pitch_overlap"] > 0.95
    assert real["groove"] > 0.95
    off = trial.real + np.array([0, 0, 0, 1, 0])
    wrong = continuation.continuation_metrics(trial, off, off)
    assert wrong["in_key"] < 0.6
    assert wrong["pitch_overlap"] < 0.6
    assert wrong["verbatim"] < 1
    assert wrong["chord_tone"] < real["chord_tone"]


def test_key_does_not_depend_on_the_transposition():
    trial = continuation.excerpt_at(loop(shift=3))
    assert trial is not None
    assert metrics.in_key(trial.real, 3) == 1


def test_the_whole_evaluation_has_every_row(monkeypatch):
    monkeypatch.setattr(sampling, "MAX_EVENTS_PER_BAR", 6)
    songs = [loop(seed=s) for s in range(3)]
    result = continuation.summarize(continuation.evaluate_songs(untrained(), songs, [], GenerateSettings(follow=1.0)))
    assert list(result["rows"]) == list(continuation.ROWS)
    assert result["songs"] == 3
    for row in result["rows"].values():
        for name in ("in_key", "pitch_overlap", "groove", "onset_overlap", "self_repetition", "verbatim", "chord_tone"):
            assert row[name]["low"] <= row[name]["mean"] <= row[name]["high"]
    assert result["rows"]["real"]["in_key"]["mean"] == 1
    assert result["rows"]["repeat"]["verbatim"]["mean"] == 1
    assert result["rows"]["real"]["nats_per_note"]["mean"] is None
    assert result["rows"]["model"]["nats_per_note"]["mean"] > result["rows"]["markov"]["nats_per_note"]["mean"]
    assert np.isfinite(result["prompt_gain"]["mean"])
    assert np.isfinite(result["melody_gain"]["mean"])
    assert result["seconds_16_bars"] > 0


def test_too_few_songs_are_refused():
    with pytest.raises(BadInput, match="at least two songs"):
        continuation.evaluate_songs(untrained(), [loop()], [], GenerateSettings())


def test_a_songs_trials_lie_beside_each_other_and_its_figures_are_their_means():
    tune = loop(bars=75)
    trials = continuation.excerpts_of(tune)
    assert len(trials) == 3
    assert [len(continuation.excerpts_of(loop(bars=bars))) for bars in (23, 24, 47, 48)] == [0, 1, 1, 2]
    numbered = replace(tune, notes=np.array([(bar, bar % 48, BASS, 36, 4) for bar in range(75) for _ in range(3)]))
    firsts = [int(t.piece.notes[0, 1]) for t in continuation.excerpts_of(numbered)]
    assert firsts == [0, 25, 50 % 48], "a third of the song each, and the trial in its middle"
    one = continuation.evaluate_songs(untrained(), [tune, loop(bars=24, seed=1)], [], GenerateSettings())[0]
    in_key = [continuation.continuation_metrics(t, t.real, None)["in_key"] for t in trials]
    assert one.rows["real"]["in_key"] == pytest.approx(sum(in_key) / 3)
