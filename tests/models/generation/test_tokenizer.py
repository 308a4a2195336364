from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.generation import tokenizer
from models.generation.chords import chord_number, estimate_chords, key_shift, shift_of_key
from models.generation.tokenizer import DURATIONS, FAMILIES, TICKS, Piece, decode, encode


@st.composite
def pieces(draw):
    metre = draw(st.integers(tokenizer.MIN_METRE, tokenizer.MAX_METRE))
    shift = draw(st.integers(-6, 5))
    bars = draw(st.integers(1, 6))
    rows = set()
    for _ in range(draw(st.integers(0, 40))):
        family = draw(st.integers(0, len(FAMILIES) - 1))
        if family == tokenizer.DRUMS:
            pitch, length = tokenizer.LOWEST_DRUM + draw(st.integers(0, tokenizer.DRUM_SOUNDS - 1)), 1
        else:
            pitch = tokenizer.LOWEST_PITCH + draw(st.integers(0, tokenizer.PITCHES - 1)) - shift
            length = int(draw(st.sampled_from(DURATIONS.tolist())))
        rows.add((draw(st.integers(0, bars - 1)), draw(st.integers(0, metre * TICKS - 1)), family, pitch, length))
    longest = {row[:4]: row for row in sorted(rows)}
    notes = np.array(sorted(longest.values()), np.int64).reshape(-1, 5)
    chords = np.array([(b, 0, draw(st.integers(0, 72))) for b in range(bars)], np.int64)
    return Piece(metre, 120.0, shift, np.full(bars, metre), notes, chords)


@given(pieces())
@settings(max_examples=60, deadline=None)
def test_tokens_round_trip_any_quantized_piece(piece):
    events = encode(piece, 0, piece.bars, range(6), chords=True)
    notes, chords = decode(events, piece.shift)
    np.testing.assert_array_equal(notes, piece.notes)
    np.testing.assert_array_equal(chords, piece.chords)


@given(pieces(), st.sets(st.integers(0, 5)))
@settings(max_examples=60, deadline=None)
def test_real_music_never_breaks_the_grammar(piece, given_families):
    write = [f for f in range(6) if f not in given_families]
    events = encode(piece, 0, piece.bars, write, given_families)
    families = np.isin(np.arange(6), write)
    legal = tokenizer.grammar_mask(events.token[:-1], events.tick[:-1], events.bar_ticks[:-1], families)
    drawn = np.flatnonzero(events.predicts_next[:-1])
    assert legal[drawn, events.token[1:][drawn]].all()
    assert not legal[:, : tokenizer.BAR].any()
    assert not legal[:, tokenizer.GEN : tokenizer.POS + 1].any()


def test_a_given_melody_comes_before_what_is_written_in_each_bar():
    melody, bass = FAMILIES.index("melody"), FAMILIES.index("bass")
    notes = np.array([(0, 0, bass, 40, 12), (0, 6, melody, 72, 6), (1, 0, bass, 43, 12), (1, 0, melody, 71, 6)])
    piece = Piece(4, 120.0, 0, np.array([4, 4]), notes, np.array([(0, 0, 1)]))
    events = encode(piece, 0, 2, [bass], [melody], chords=True)
    kinds = [tokenizer.FAMILY_OF[t] for t in events.token]
    gens = np.flatnonzero(events.token == tokenizer.GEN)
    bars = np.flatnonzero(events.token == tokenizer.BAR)
    assert all(bar < gen for bar, gen in zip(bars, gens, strict=True))
    assert kinds.index(melody) < gens[0] < kinds.index(bass) < bars[1]
    assert (events.token == tokenizer.CHORD + 1).sum() == 2  # the chord is said again in the second bar
    assert not events.predicts_next[: gens[0]].any()
    assert events.predicts_next[gens[0]]


def test_pitches_outside_the_nine_octaves_fold_into_them():
    notes = np.array([(0, 0, 1, 0, 1), (0, 1, 1, 127, 1)])
    folded = (tokenizer.note_tokens(notes, 0) - tokenizer.NOTE) % tokenizer.PITCHES + tokenizer.LOWEST_PITCH
    assert folded.tolist() == [12, 115]


def test_encoding_moves_every_key_to_c():
    notes = np.array([(0, 0, 2, 62, 12), (0, 12, 2, 66, 12)])
    piece = Piece(4, 120.0, shift_of_key("D:maj"), np.array([4]), notes, np.zeros((0, 3), np.int64))
    in_c = replace(piece, shift=0, notes=notes - np.array([0, 0, 0, 2, 0]))
    np.testing.assert_array_equal(encode(piece, 0, 1, [2]).token, encode(in_c, 0, 1, [2]).token)


@pytest.mark.parametrize("tonic", range(12))
def test_the_key_is_estimated_in_any_transposition(tonic):
    scale = [tonic + 60 + step for step in (0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0)]
    notes = np.array([(0, i, 2, p, 24 if p % 12 in (tonic, (tonic + 7) % 12) else 12) for i, p in enumerate(scale)])
    assert (key_shift(notes) + tonic) % 12 == 0


def test_chords_are_estimated_from_notes():
    notes = np.array([(0, 0, 2, p, 48) for p in (57, 60, 64)] + [(1, 0, 2, p, 48) for p in (55, 59, 62)])
    estimate = estimate_chords(notes, np.array([4, 4]))
    assert estimate.tolist() == [[0, 0, chord_number("A:min")], [1, 0, chord_number("G:maj")]]
