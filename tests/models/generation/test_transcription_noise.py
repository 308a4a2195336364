import numpy as np
import pytest

from models.generation import tokenizer
from models.generation.chords import chord_number
from models.generation.evaluation.robustness import error_rates
from models.generation.tokenizer import DRUMS, FAMILIES, TICKS, Piece, encode, slice_bars
from models.generation.training.transcription_noise import (
    TranscribedPiece,
    TranscriptionNoise,
    load_transcribed,
    save_transcribed,
)

BASS, PIANO, STRINGS, MELODY = (FAMILIES.index(f) for f in ("bass", "piano", "strings", "melody"))


def band(bars: int = 16, key: int = 0) -> Piece:
    """A bass on every beat, a piano's chord and a kick on every bar."""
    rows = [(b, t * TICKS, BASS, 36 + (b + t) % 5 + key, TICKS) for b in range(bars) for t in range(4)]
    rows += [(b, 0, PIANO, p + key, 2 * TICKS) for b in range(bars) for p in (60, 64, 67)]
    rows += [(b, 0, DRUMS, 36, 1) for b in range(bars)]
    chords = np.array([(b, 0, chord_number("C:maj7" if b % 2 else "A:min")) for b in range(bars)])
    return Piece(4, 120.0, (6 - key) % 12 - 6, np.full(bars, 4), np.array(sorted(rows)), chords)


def misheard(piece: Piece) -> TranscribedPiece:
    """Every second bass note missed, the others echoed by strings an octave up; a stray note on every third beat."""
    bass = piece.notes[piece.notes[:, 2] == BASS][::2]
    others = piece.notes[piece.notes[:, 2] != BASS]
    echo = bass + np.array([0, 1, STRINGS - BASS, 12, 0])
    spurious = np.array([(b, 2 * TICKS, MELODY, 90, 3) for b in range(piece.bars)])
    notes = np.unique(np.concatenate([bass, echo, others, spurious]), axis=0)
    return TranscribedPiece(piece, notes, np.array([(0, 0, chord_number("C"))]))


def test_the_first_bars_are_transcribed_and_the_others_true():
    known = misheard(band())
    piece = known.with_transcribed_prompt(5)
    assert piece.transcribed_bars == 5
    np.testing.assert_array_equal(piece.notes[piece.notes[:, 0] >= 5], known.piece.notes[known.piece.notes[:, 0] >= 5])
    np.testing.assert_array_equal(piece.notes[piece.notes[:, 0] < 5], known.notes[known.notes[:, 0] < 5])
    assert piece.chords[0].tolist() == known.chords[0].tolist()
    assert not len(known.without_chords.with_transcribed_prompt(16).chords)


def test_transcribed_bars_are_conditions_in_every_family_with_their_chords():
    piece = misheard(band()).with_transcribed_prompt(4)
    events = encode(piece, 0, 16, [BASS])
    bars = np.cumsum(events.token == tokenizer.BAR) - 1
    sounding = [set(tokenizer.FAMILY_OF[events.token[(bars == b) & (events.token >= tokenizer.DRUM)]]) for b in (0, 4)]
    assert sounding == [{DRUMS, BASS, PIANO, STRINGS, MELODY}, {BASS}]
    assert not events.predicts_next[bars < 4].any()
    assert events.predicts_next[bars >= 4].any()
    named = (events.token >= tokenizer.CHORD) & (events.token < tokenizer.DRUM)
    assert set(bars[named].tolist()) == {0, 1, 2, 3}


def test_transcribed_bars_stay_so_in_a_slice():
    piece = misheard(band()).with_transcribed_prompt(6)
    assert [slice_bars(piece, *span).transcribed_bars for span in ((0, 16), (2, 10), (6, 12), (8, 12), (1, 4))] == [
        6,
        4,
        0,
        0,
        3,
    ]
    np.testing.assert_array_equal(
        encode(slice_bars(piece, 4, 8), 0, 4, [BASS]).token, encode(piece, 4, 8, [BASS]).token
    )


def test_noise_on_another_piece_has_the_same_error_rates():
    other = band(24, key=3)
    rates = error_rates([misheard(band())])
    noise = TranscriptionNoise([misheard(band())])
    drawn = [noise.apply(other, np.random.default_rng(seed)) for seed in range(8)]
    result = [error_rates([one]) for one in drawn]
    for name in ("missed", "spurious", "octave"):
        assert np.mean([one[name] for one in result]) == pytest.approx(rates[name], abs=0.1)
    for one in drawn:
        echoes = one.notes[one.notes[:, 2] == STRINGS]
        assert {(t % TICKS, (p - 12) in range(39, 44)) for _, t, _, p, _ in echoes.tolist()} == {(1, True)}
        spurious = one.notes[one.notes[:, 2] == MELODY]
        assert {(t, p % 12) for _, t, _, p, _ in spurious.tolist()} == {(2 * TICKS, (90 + 3) % 12)}, "in its own key"
        assert (one.notes[:, 1] < 4 * TICKS).all()
        assert one.notes[:, 0].max() < other.bars


def test_chord_errors_are_those_of_the_donor():
    """Every second bar of the donor, A minor, was taken for C major; C major was heard."""
    named = TranscriptionNoise([misheard(band())]).apply(band(64), np.random.default_rng(0)).chords[:, 2]
    minor, major = named[::2], named[1::2]
    assert set(minor.tolist()) == {chord_number("A:min"), chord_number("C")}
    assert set(major.tolist()) == {chord_number("C"), chord_number("D#:min")}
    assert 0.3 < np.mean(major == chord_number("C")) < 0.7


def test_transcribed_pieces_are_saved_and_loaded(tmp_path):
    known = [misheard(band()), misheard(band(8, 2))]
    save_transcribed(known, tmp_path / "heard.npz")
    for one, again in zip(known, load_transcribed(tmp_path / "heard.npz"), strict=True):
        assert (one.piece.metre, one.piece.tempo_bpm, one.piece.shift) == (4, 120.0, again.piece.shift)
        np.testing.assert_array_equal(one.piece.bar_beats, again.piece.bar_beats)
        np.testing.assert_array_equal(one.piece.notes, again.piece.notes)
        np.testing.assert_array_equal(one.notes, again.notes)
        np.testing.assert_array_equal(one.chords, again.chords)
