"""Drums that have stopped take their last full bar up again, whatever the network would rather do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.generation import tokenizer
from models.generation.drum_resumption import PHRASE_BARS, DrumResumption
from models.generation.network import Config, MusicTransformer
from models.generation.requests import Request
from models.generation.sampling import generate_bars
from models.generation.settings import SamplingParams
from models.generation.tokenizer import DRUMS, Piece

BASS = tokenizer.FAMILIES.index("bass")
LOOP = [(0, 36), (6, 42), (7, 38), (24, 36), (24, 42)]
"""Tick and sound; 7 is no tick on which new notes begin by themselves."""


def song(bars: int, drummed: int) -> Piece:
    """A bass throughout, and drums in the first `drummed` bars."""
    loop = [(bar, tick, DRUMS, sound, 1) for bar in range(drummed) for tick, sound in LOOP]
    low = [(bar, 0, BASS, 36, 12) for bar in range(bars)]
    notes = np.array(sorted(loop + low), np.int64)
    return Piece(4, 120.0, 0, np.full(bars, 4), notes, np.zeros((0, 3), np.int64))


@pytest.fixture
def drumless(monkeypatch) -> MusicTransformer:
    """A network that plays a low C on one and closes the bar, and would not touch a drum."""
    torch.manual_seed(0)
    network = MusicTransformer(replace(Config.debug(), context=512)).eval()
    plain = network.token_logits

    def logits(hidden, table):
        result = torch.full_like(plain(hidden, table), -30.0)
        result[tokenizer.NOTE + 36 - tokenizer.LOWEST_PITCH] = 0.0
        result[tokenizer.BAR] = -2.0
        return result

    monkeypatch.setattr(network, "token_logits", logits)
    return network


def test_after_two_silent_bars_the_last_full_bar_is_played_again_and_longer_each_time(drumless):
    task = Request(replace(song(8, 8), bar_beats=np.full(32, 4)), 8, 32, {DRUMS, BASS})
    notes = generate_bars(drumless, task, SamplingParams(1.0, 0.95, 0.0, 1.0), np.random.default_rng(0))
    drums = notes[notes[:, 2] == DRUMS]
    by_bar = {bar: [tuple(x) for x in drums[drums[:, 0] == bar][:, [1, 3]]] for bar in range(8, 32)}
    assert [bar for bar, strokes in by_bar.items() if strokes][: 3 * PHRASE_BARS] == [*range(11, 15), *range(18, 26)]
    assert all(set(strokes) >= set(LOOP) for strokes in by_bar.values() if strokes)


def test_where_drums_never_played_or_only_in_bars_of_another_length_nothing_is_due():
    resuming = DrumResumption()
    resuming.start_bar(song(8, 0), 7, True, 4.0)
    assert not resuming.pending
    waltz = replace(song(8, 4), bar_beats=np.array([4, 4, 4, 4, 3, 3, 3, 3]))
    resuming.start_bar(waltz, 7, True, 4.0)
    assert not resuming.pending
    resuming.start_bar(song(8, 4), 7, True, 11.0)
    assert not resuming.pending, "five strokes of eleven are no full bar"
    resuming.start_bar(song(8, 4), 7, True, 4.0)
    assert len(resuming.pending) == len(LOOP)


def test_other_notes_may_stand_between_the_pending_ones():
    resuming = DrumResumption()
    resuming.start_bar(song(8, 4), 7, True, 4.0)
    legal = np.ones(tokenizer.VOCABULARY, bool)
    resuming.mask_tokens(legal, tokenizer.GEN, 0)
    kick = tokenizer.DRUM + 36 - tokenizer.LOWEST_DRUM
    assert legal[tokenizer.DRUM : kick + 1].all()
    assert not legal[kick + 1 :].any()
    assert not legal[tokenizer.BAR]
    resuming.update(kick, 3)
    assert len(resuming.pending) == len(LOOP), "the same drum at another place"
    resuming.update(kick, 0)
    legal = np.ones(tokenizer.VOCABULARY, bool)
    resuming.mask_tokens(legal, kick, 0)
    assert legal[tokenizer.NOTE :].all()
    assert legal[tokenizer.POS + 1 : tokenizer.POS + 7].all()
    assert not legal[tokenizer.POS + 7 : tokenizer.CHORD].any()
