import json

import pytest

from flows.evaluation.continuation import own_songs
from models.core import registry
from models.generation import GenerateSettings, Sampler, accompany, extend
from models.generation.chords import shift_of_key
from models.generation.evaluation.likelihood import event_probabilities
from models.generation.evaluation.markov import Markov
from models.generation.network import MusicTransformer, load
from models.generation.tokenizer import slice_bars
from models.symbolic.beat_map import extend_grid
from models.synthesis.example_song.composition import compose

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def shipped() -> MusicTransformer:
    return load(registry.verified(registry.find("music_transformer", "small")))


@pytest.mark.parametrize("group", ["pop909", "bands"])
def test_the_shipped_network_beats_the_markov_row(group):
    entry = registry.find("music_transformer", "small")
    figures = json.loads(entry.path.with_suffix(".json").read_text())
    assert figures["sha256"] == entry.sha256, "the figures are not those of the shipped weights"
    rows = figures[group]["rows"]
    assert rows["model"]["nats_per_note"]["high"] < rows["markov"]["nats_per_note"]["low"]
    assert rows["model"]["nats_per_note_with_memory"]["mean"] < rows["model"]["nats_per_note"]["mean"]
    assert rows["model"]["pitch_overlap"]["mean"] > rows["other_song"]["pitch_overlap"]["mean"]


def test_it_is_less_surprised_by_songs_of_ours_than_markov(shipped):
    """Songs that neither network nor counts have met: the counts know another song of ours, or the same bars before."""
    whole = own_songs().held_out
    for piece, other in ((slice_bars(whole[0], 0, 16), whole[1]), (slice_bars(whole[1], 0, 16), whole[0])):
        strange, same = Markov(), Markov()
        strange.learn(other)
        same.learn(slice_bars(piece, 0, 8))
        alone = event_probabilities(shipped, piece, piece.families).nats_per_note()
        estimate = event_probabilities(shipped, piece, piece.families, start=8).nats_per_note()
        assert 0.5 < alone < strange.nats_per_note(piece) - 1.5
        assert 0.5 < estimate < same.nats_per_note(slice_bars(piece, 8, 16)) - 1


def in_key(score, key: str) -> float:
    pitches = [n.pitch for t in score.tracks if not t.is_drum for n in t.notes]
    return sum((p + shift_of_key(key)) % 12 in (0, 2, 4, 5, 7, 9, 11) for p in pitches) / len(pitches)


def test_the_example_song_is_played_on_in_its_key_by_its_own_band(shipped):
    sheet = compose(0, 20.0)
    longer, start, end = extend_grid(sheet.grid, sheet.score.end_s, 8)
    new = extend(sheet.score, longer, start, 8, Sampler(shipped, GenerateSettings(), 0, "cpu"))
    assert {"drums", "bass"} <= {t.name for t in new.tracks}
    assert in_key(new, sheet.grid.key) > 0.8
    for track in new.tracks:
        if track.name in ("drums", "bass"):
            assert {int(8 * (n.onset_s - start) / (end - start)) for n in track.notes} >= {0, 2, 4}


def test_the_band_fits_the_example_songs_chords(shipped):
    sheet = compose(1, 20.0)
    band = accompany(
        sheet.score.track("melody"), sheet.grid, sheet.score.end_s, Sampler(shipped, GenerateSettings(), 0, "cpu")
    )
    assert {t.name for t in band.tracks} >= {"drums", "bass"}
    assert in_key(band, sheet.grid.key) > 0.8
