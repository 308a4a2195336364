"""A track does not get stuck, whatever the network and the memory would like best."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.generation import GenerateSettings, tokenizer
from models.generation.evaluation.accompaniment import band_metrics, evaluate_accompaniments, in_chord, longest_run
from models.generation.network import Config, MusicTransformer
from models.generation.repetition_penalty import RepetitionPenalty, expected_notes_per_bar
from models.generation.requests import Request
from models.generation.sampling import generate_bars
from models.generation.settings import SamplingParams
from models.generation.tokenizer import FAMILIES, Piece

DRUMS, BASS, PIANO, GUITAR, _, MELODY = range(len(FAMILIES))
MANNER = SamplingParams(0.9, 0.95, 0.7, 1.0, 0.6)


def piece(bars: int = 24, notes=(), chords=(), shift: int = 0) -> Piece:
    rows, named = (np.array(list(x), np.int64).reshape(-1, n) for x, n in ((notes, 5), (chords, 3)))
    return Piece(4, 120.0, shift, np.full(bars, 4), rows, named)


@pytest.fixture
def stuck(monkeypatch) -> MusicTransformer:
    """A network that would play F3 on the guitar for ever."""
    torch.manual_seed(0)
    network = MusicTransformer(replace(Config.debug(), context=256)).eval()
    plain = network.token_logits
    favourite = tokenizer.NOTE + (GUITAR - 1) * tokenizer.PITCHES + 53 - tokenizer.LOWEST_PITCH

    def logits(hidden, table):
        result = plain(hidden, table).clone()
        result[..., tokenizer.NOTE :] -= 6.0
        result[..., favourite] += 14.0
        return result

    monkeypatch.setattr(network, "token_logits", logits)
    return network


def test_a_network_that_is_stuck_on_one_note_is_freed(stuck):
    rows = generate_bars(stuck, Request(piece(), 0, 24, [GUITAR]), MANNER, np.random.default_rng(0))
    assert len(rows) > 60
    assert longest_run(rows) <= 24
    assert np.bincount(rows[:, 3]).max() / len(rows) < 0.9
    assert len(set(rows[rows[:, 0] >= 16, 3].tolist())) >= 4


def test_a_prompt_that_is_stuck_is_not_taken_up_for_ever(stuck):
    repeated = [(bar, tick, GUITAR, 53, 3) for bar in range(8) for tick in range(0, 48, 6)]
    rows = generate_bars(stuck, Request(piece(notes=repeated), 8, 24, [GUITAR]), MANNER, np.random.default_rng(0))
    assert longest_run(rows) <= 24


def test_what_was_played_often_or_long_becomes_unlikelier_and_nothing_else():
    probs = np.full(tokenizer.VOCABULARY, 1.0)
    note = tokenizer.NOTE + (PIANO - 1) * tokenizer.PITCHES + 60 - tokenizer.LOWEST_PITCH
    penalty = RepetitionPenalty(0, {PIANO: 8.0})
    fresh = penalty.penalize(probs, 0)
    for moment in range(4):
        penalty.add_note(note, moment)
    assert penalty.penalize(probs, 4)[note] == fresh[note], "a figure may be repeated"
    for moment in range(4, 12):
        penalty.add_note(note, moment)
    tired = penalty.penalize(probs, 12)
    assert tired[note] < 0.05 * fresh[note]
    assert tired[note + 1] > fresh[note + 1]
    own = tokenizer.FAMILY_OF == PIANO
    assert tired[own].sum() == pytest.approx(probs[own].sum())
    np.testing.assert_allclose(tired[~own], fresh[~own])


def test_notes_that_an_instrument_does_not_have_are_not_written():
    fresh = RepetitionPenalty(-3, {BASS: 4.0}).penalize(np.full(tokenizer.VOCABULARY, 1.0), 0)
    sounding = np.arange(tokenizer.PITCHES) + tokenizer.LOWEST_PITCH + 3
    bass = fresh[tokenizer.FAMILY_OF == BASS] > 0
    assert sounding[bass].min() == 28
    assert sounding[bass].max() == 60


def test_a_family_that_fell_silent_is_called_back_and_one_that_rattles_held_back():
    probs = np.full(tokenizer.VOCABULARY, 1.0)
    penalty = RepetitionPenalty(0, {DRUMS: 8.0, BASS: 4.0})
    for moment in range(8 * 40):
        penalty.add_note(tokenizer.DRUM + moment % 5, moment)
        if moment % 40 == 39:
            penalty.end_bar()
    now = penalty.penalize(probs, 999)
    assert now[tokenizer.FAMILY_OF == BASS].sum() > 2 * probs[tokenizer.FAMILY_OF == BASS].sum()
    assert now[tokenizer.FAMILY_OF == DRUMS].sum() < 0.5 * probs[tokenizer.FAMILY_OF == DRUMS].sum()
    assert now[tokenizer.BAR] > 1


def test_a_rhythm_section_is_called_back_ever_harder_and_soon_others_late():
    calls: dict[int, list[float]] = {DRUMS: [], PIANO: []}
    penalty = RepetitionPenalty(0, {DRUMS: 8.0, PIANO: 8.0})
    own = {family: family == tokenizer.FAMILY_OF for family in calls}
    for _ in range(30):
        penalty.end_bar()
        now = penalty.penalize(np.full(tokenizer.VOCABULARY, 1.0), 0)
        for family, result in calls.items():
            result.append(now[own[family]].sum() / own[family].sum())
    assert calls[DRUMS][7] > 30 * calls[PIANO][7]
    assert calls[PIANO][-1] > 500 * calls[PIANO][7]
    assert calls[DRUMS][-1] == pytest.approx(calls[DRUMS][-5]), "within bounds"


def test_a_stroke_here_and_there_does_not_end_the_call():
    own = np.flatnonzero(tokenizer.FAMILY_OF == DRUMS)
    quiet, scattered = RepetitionPenalty(0, {DRUMS: 8.0}), RepetitionPenalty(0, {DRUMS: 8.0})
    for bar in range(8):
        if bar % 2:
            scattered.add_note(int(own[0]), bar)
        for each in (quiet, scattered):
            each.end_bar()
    shares = [each.penalize(np.full(tokenizer.VOCABULARY, 1.0), 0)[own].sum() for each in (quiet, scattered)]
    assert shares[1] > 0.5 * shares[0]


def test_a_family_that_was_silent_for_long_does_not_burst():
    piano = FAMILIES.index("piano")
    penalty = RepetitionPenalty(0, {piano: 4.0})
    for _ in range(20):
        penalty.end_bar()
    own = np.flatnonzero(piano == tokenizer.FAMILY_OF)
    even = np.ones(tokenizer.VOCABULARY)
    share = [penalty.penalize(even, 0)[own].sum()]
    for moment in range(24):
        penalty.add_note(int(own[40 + moment % 12]), moment)
        share.append(penalty.penalize(even, moment + 1)[own].sum())
    assert share[0] > 5 * len(own), "called for"
    assert share[-1] <= len(own), "but no longer than it takes to play a usual bar"


def test_a_bar_that_is_full_of_a_family_gets_no_more_of_its_notes_and_the_next_bar_is_free_again():
    even = np.ones(tokenizer.VOCABULARY)
    own, others = np.flatnonzero(tokenizer.FAMILY_OF == BASS), np.flatnonzero(tokenizer.FAMILY_OF == DRUMS)
    penalty = RepetitionPenalty(0, {DRUMS: 4.0, BASS: 4.0})
    share = []
    for moment in range(11):
        now = penalty.penalize(even, moment)
        share.append(now[own].sum() / now[others].sum())
        penalty.add_note(int(own[20 + moment]), moment)
    assert share[9] == pytest.approx(share[0]), "a busy bar is nothing unusual"
    assert share[10] < share[0] / 1000
    before = penalty.penalize(even, 99)[own].sum()
    penalty.end_bar()
    assert penalty.penalize(even, 99)[own].sum() > 1000 * before


def test_a_bar_has_no_more_than_its_share_of_strokes_and_a_moment_no_more_than_a_drummer_has_limbs():
    own = np.flatnonzero(tokenizer.FAMILY_OF == DRUMS)
    penalty = RepetitionPenalty(0, {DRUMS: 8.0})

    def share(moment: int) -> float:
        return float(penalty.penalize(np.ones(tokenizer.VOCABULARY), moment)[own].sum())

    free = share(0)
    for stroke in range(4):
        assert share(0) == pytest.approx(free)
        penalty.add_note(int(own[stroke]), 0)
    assert share(0) < free / 1000, "both hands and both feet"
    assert share(6) == pytest.approx(free)
    for moment in range(6, 16):
        penalty.add_note(int(own[0]), moment)
    assert share(20) < free / 1000, "fourteen of eight usual strokes"
    penalty.end_bar()
    assert share(20) > free / 10


def test_what_was_played_before_fills_no_bar():
    own = np.flatnonzero(tokenizer.FAMILY_OF == DRUMS)
    fresh, after = RepetitionPenalty(0, {DRUMS: 4.0}), RepetitionPenalty(0, {DRUMS: 4.0})
    for moment in range(200):
        after.add_past_note(int(own[moment % 5]), moment)
    for _ in range(2):
        shares = [each.penalize(np.full(tokenizer.VOCABULARY, 1.0), 300)[own].sum() for each in (fresh, after)]
        assert shares[1] == pytest.approx(shares[0])
        for each in (fresh, after):
            each.end_bar()


def test_how_busy_a_family_is_follows_the_prompt():
    song = piece(notes=[(bar, 6 * i, PIANO, 60 + i, 6) for bar in range(8) for i in range(4)])
    assert expected_notes_per_bar(song, 8, [PIANO], 1.0) == {PIANO: 4.0}
    assert expected_notes_per_bar(song, 8, [PIANO], 2.0) == {PIANO: 8.0}
    assert expected_notes_per_bar(song, 0, [BASS, DRUMS], 1.0).keys() == {BASS, DRUMS}


def test_a_thin_end_is_not_what_a_rhythm_section_usually_plays():
    full = [(bar, 3 * i, family, 36, 1) for family in (BASS, DRUMS) for bar in range(16) for i in range(8)]
    thin = [(bar, 0, family, 36, 1) for family in (BASS, DRUMS) for bar in range(16, 24)]
    ending = piece(notes=[*full, *thin], bars=24)
    assert all(2 < notes <= 4 for notes in expected_notes_per_bar(ending, 24, [BASS, DRUMS], 1.0).values())
    gone = piece(notes=full, bars=24)
    assert expected_notes_per_bar(gone, 24, [DRUMS], 1.0) == expected_notes_per_bar(gone, 0, [DRUMS], 1.0), (
        "as bands do"
    )


def test_metrics_separate_a_stuck_band_from_a_varied_one():
    chords = [(bar, 0, 1 + 6 * (5 * (bar % 2))) for bar in range(24)]  # C and F major by turns
    song = piece(chords=chords)
    same = np.array([(bar, tick, PIANO, 60, 6) for bar in range(24) for tick in range(0, 48, 12)])
    figures = band_metrics(same, song)
    assert (figures["longest_run"], figures["commonest_pitch"], figures["pitch_classes_a_bar"]) == (96, 1, 1)
    varied = same + np.array([[0, 0, 0, (0, 4, 7, 12)[i % 4] + 5 * (i // 4 % 2), 0] for i in range(96)])
    figures = band_metrics(varied, song)
    assert (figures["longest_run"], figures["in_chord"], figures["notes_a_bar"]) == (1, 1, 4)
    assert in_chord(same + np.array([0, 0, 0, 1, 0]), song) == 0


def test_bands_for_whole_songs_are_measured_beside_the_songs_own():
    torch.manual_seed(0)
    network = MusicTransformer(replace(Config.debug(), context=256)).eval()
    notes = [(bar, 12 * i, MELODY, 72 + i, 12) for bar in range(4) for i in range(4)]
    notes += [(bar, 0, PIANO, 60, 48) for bar in range(4)]
    result = evaluate_accompaniments(network, [piece(4, notes, [(0, 0, 1)]), piece(4)], GenerateSettings())
    assert result["real"]["longest_run"]["mean"] == 4
    assert result["model"]["notes_a_bar"]["mean"] > 0
