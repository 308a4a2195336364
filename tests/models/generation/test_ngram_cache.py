import numpy as np

from models.generation import (
    tokenizer,
)
from models.generation.ngram_cache import CachePrediction, NgramCache, interpolate


def test_the_ngram_cache_predicts_what_followed_before():
    memory = NgramCache()
    phrase = [
        tokenizer.BAR,
        tokenizer.GEN,
        tokenizer.NOTE + 40,
        tokenizer.POS + 12,
        tokenizer.NOTE + 44,
        tokenizer.POS + 24,
    ]
    for token in phrase * 2 + phrase[:5]:
        memory.update(token, 5 if token >= tokenizer.NOTE else 0, 0)
    event = memory.predict_event()
    assert event.order_index is not None
    assert event.probs.argmax() == phrase[5]
    assert memory.predict_length(phrase[5]).order_index is None  # a move has no length
    assert NgramCache().predict_event().order_index is None


def test_mixing_keeps_a_distribution_and_the_grammars_zeros():
    probs = np.array([0.5, 0.5, 0.0])
    recalled = CachePrediction(np.array([0.0, 0.5, 0.5]), 0)
    np.testing.assert_allclose(interpolate(probs, recalled, (0.8,), 0.5), [0.3, 0.7, 0.0])
    np.testing.assert_allclose(interpolate(probs, CachePrediction(np.zeros(3), None), (0.8,), 1.0), probs)
