from dataclasses import replace

import numpy as np
import pytest
import torch

from models.generation import tokenizer
from models.generation.key_chord_bias import PITCH_CLASS_OF, SCALE, apply_pitch_bias, chord_log_bias, key_log_bias
from models.generation.network import Config, MusicTransformer
from models.generation.requests import Request
from models.generation.sampling import generate_bars
from models.generation.settings import SamplingParams
from models.generation.tokenizer import FAMILIES, Piece

PIANO = FAMILIES.index("piano")


def piece(notes=(), chords=(), shift: int = 0) -> Piece:
    rows, named = (np.array(list(x), np.int64).reshape(-1, n) for x, n in ((notes, 5), (chords, 3)))
    return Piece(4, 120.0, shift, np.full(12, 4), rows, named)


def test_the_key_bias_prefers_its_scale_and_past_notes():
    empty = key_log_bias(piece(), 4)
    assert empty[list(SCALE)].min() > empty[[1, 3, 6, 8, 10]].max()
    biased = key_log_bias(piece([(bar, 0, PIANO, 61 - 2, 12) for bar in range(12)], shift=2), 4)
    assert biased[1] > empty[1]
    later = key_log_bias(piece([(bar, 0, PIANO, 61, 12) for bar in range(4, 12)]), 4)
    np.testing.assert_array_equal(later, empty)


def test_the_chord_bias_begins_at_the_tick_of_the_chord():
    bias = chord_log_bias(piece(chords=[(0, 0, 1), (2, 24, 1 + 7 * 6)]), 2)  # C major, from the middle of bar 2 on G
    assert set(np.flatnonzero(bias[23])) == {0, 4, 7}
    assert set(np.flatnonzero(bias[24])) == {7, 11, 2}
    assert set(np.flatnonzero(chord_log_bias(piece(chords=[(0, 0, 1)], shift=2), 5)[0])) == {2, 6, 9}
    assert not chord_log_bias(piece(), 3).any()
    assert not chord_log_bias(piece(chords=[(0, 0, 1), (1, 0, 0)]), 3).any()


def test_the_bias_changes_which_note_not_whether_one():
    rng = np.random.default_rng(0)
    before = np.exp(rng.standard_normal(tokenizer.VOCABULARY))
    after = apply_pitch_bias(before, key_log_bias(piece(), 0), 1.0)
    np.testing.assert_array_equal(after[: tokenizer.NOTE], before[: tokenizer.NOTE])
    probs = [x[tokenizer.NOTE :] for x in (before, after)]
    assert probs[1].sum() == pytest.approx(probs[0].sum())
    inside = np.isin(PITCH_CLASS_OF, SCALE)
    assert probs[1][inside].sum() > 1.1 * probs[0][inside].sum()


def test_more_harmony_keeps_to_the_key():
    torch.manual_seed(0)
    network = MusicTransformer(replace(Config.debug(), context=256)).eval()
    shares = []
    for harmony in (0.0, 1.0):
        rows = generate_bars(
            network,
            Request(piece(), 0, 12, [PIANO]),
            SamplingParams(1.0, 1.0, 0.0, 1.0, harmony),
            np.random.default_rng(0),
        )
        shares.append(np.isin(rows[:, 3] % 12, SCALE).mean())
    assert shares[1] > shares[0] + 0.1
