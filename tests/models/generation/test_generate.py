from dataclasses import replace

import numpy as np
import pytest
import torch

from models.core.errors import BadInput
from models.core.types import Grid, Note, Score, Track
from models.generation import (
    GenerateSettings,
    Sampler,
    accompany,
    extend,
    sampling,
    sparse_input_warnings,
    tokenizer,
)
from models.generation.network import Batch, Config, MusicTransformer
from models.generation.quantize import dequantize, quantize
from models.generation.requests import Request
from models.generation.sampling import generate_bars
from models.generation.settings import SamplingParams
from models.generation.tokenizer import FAMILIES, TICKS, Piece, encode
from models.generation.training.music_transformer import batch_grammar_mask
from models.symbolic.beat_map import extend_grid, seconds_to_beats

LOOP = ("G:maj", "E:min", "C:maj", "D:maj")


def untrained(seed: int = 0, **changes) -> MusicTransformer:
    """A debug network whose every weight matters (fresh ones end in zeros)."""
    torch.manual_seed(seed)
    made = MusicTransformer(replace(Config.debug(), **changes))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made.eval()


def song(bars: int = 8, drift: float = 0.02, metre: int = 4) -> tuple[Score, Grid]:
    """Drums, bass, chords and a melody in G, its tempo drifting."""
    times = np.cumsum(0.5 + drift * np.sin(np.arange(bars * metre) / 7))
    chords = tuple(LOOP[i // metre % 4] for i in range(len(times)))
    grid = Grid(tuple(times.tolist()), tuple(times[::metre].tolist()), 120.0, metre, "G:maj", chords)
    root = {"G:maj": 43, "E:min": 40, "C:maj": 36, "D:maj": 38}
    bass = tuple(Note(t, 0.4, root[c], 90) for t, c in zip(times, chords, strict=True))
    drums = tuple(Note(t, 0.1, 36 + 2 * (i % 2), 100) for i, t in enumerate(times))
    melody = tuple(Note(t, 0.4, 67 + (0, 2, 4, 7)[i * 7 // 3 % 4], 80) for i, t in enumerate(times))
    tracks = (Track("drums", 0, True, drums), Track("bass", 34, False, bass), Track("melody", 53, False, melody))
    return Score(tracks), grid


def test_the_grammar_of_training_is_the_grammar_of_sampling():
    score_piece = Piece(4, 120.0, 0, np.array([4, 3]), np.array([(0, 5, 2, 60, 4), (1, 0, 0, 36, 1)]), np.zeros((0, 3)))
    events = encode(replace(score_piece, chords=np.zeros((0, 3), np.int64)), 0, 2, [0, 2])
    families = np.isin(np.arange(6), [0, 2])
    batch = Batch.of(events)
    nothing = torch.zeros_like(batch.token)  # PAD, which is never legal, is let through as the target
    tensors = batch_grammar_mask(batch, torch.from_numpy(families)[None], nothing)[0].numpy()
    arrays = tokenizer.grammar_mask(events.token, events.tick, events.bar_ticks, families)
    arrays[:, tokenizer.PAD] = True
    np.testing.assert_array_equal(tensors, arrays)


def test_a_thousand_random_samples_of_an_untrained_network_are_valid(monkeypatch):
    most = 4  # many bars are closed by force
    monkeypatch.setattr(sampling, "MAX_EVENTS_PER_BAR", most)
    made = untrained(context=64, layers=1, width=16)
    rng = np.random.default_rng(0)
    written = 0
    for sample in range(1000):
        metre, write = int(rng.integers(2, 9)), rng.choice(6, int(rng.integers(1, 4)), replace=False).tolist()
        shift, span = int(rng.integers(-6, 6)), 1 if sample % 10 else 4
        piece = Piece(metre, 100.0, shift, np.full(span, metre), np.zeros((0, 5), np.int64), np.zeros((0, 3), np.int64))
        params = SamplingParams(float(rng.uniform(0.5, 2)), float(rng.uniform(0.5, 1)), float(rng.random()), 1.0)
        rows = generate_bars(made, Request(piece, 0, span, write), params, rng)
        written += len(rows)
        assert len(rows) >= span // 2, "no two bars in a row are silent"
        assert set(rows[:, 2]) <= set(write)
        assert ((rows[:, 1] >= 0) & (rows[:, 1] < metre * TICKS)).all()
        assert set(rows[:, 1] % TICKS) <= {0, 3, 4, 6, 8, 9}, "sixteenths and triplets"
        assert ((rows[:, 3] >= 0) & (rows[:, 3] <= 127)).all()
        assert np.bincount(rows[:, 0], minlength=1).max() <= most
        order = rows[:, 0] * 1000 + rows[:, 1]
        assert (np.diff(order) >= 0).all()
        assert len(np.unique(rows[:, :4], axis=0)) == len(rows)
    assert written > 1500


def test_extend_writes_only_new_notes_on_the_songs_tracks_and_repeats_itself_by_seed():
    score, grid = song()
    longer, start, end = extend_grid(grid, score.end_s, 4)
    made, settings = untrained(), GenerateSettings()
    new = extend(score, longer, start, 4, Sampler(made, settings, 1, "cpu"))
    assert sum(len(t.notes) for t in new.tracks) > 8
    assert all(
        start <= n.onset_s < end and n.onset_s + n.duration_s <= end + 0.011 for t in new.tracks for n in t.notes
    )
    own = {(t.name, t.program, t.is_drum) for t in score.tracks}
    assert {(t.name, t.program, t.is_drum) for t in new.tracks} <= own
    assert new == extend(score, longer, start, 4, Sampler(made, settings, 1, "cpu"))
    assert new != extend(score, longer, start, 4, Sampler(made, settings, 2, "cpu"))


def test_onsets_lie_on_the_drifting_grid():
    score, grid = song(drift=0.1)
    new = accompany(score.track("melody"), grid, score.end_s, Sampler(untrained(), GenerateSettings(), 0, "cpu"))
    places = np.concatenate([seconds_to_beats(grid, [n.onset_s for n in t.notes]) * TICKS for t in new.tracks])
    assert np.abs(places - np.round(places)).max() < 1e-6


def test_what_was_struck_before_the_song_is_not_heaped_on_its_first_moment():
    score, grid = song()
    pickup = replace(grid, downbeats_s=grid.beats_s[1::4])  # the first bar begins three beats before the first beat
    quantized, _ = quantize(score, pickup, score.end_s)
    bass, drums = FAMILIES.index("bass"), FAMILIES.index("drums")
    before, later = [0, 0], [1, 0]  # bar and tick: 1 s before the song, and in it
    rows = np.array(
        [[*before, drums, 36, 1], [*before, bass, 40, 2], [*before, bass, 43, 4 * TICKS], [*later, drums, 38, 1]]
    )
    made = dequantize(rows, quantized, pickup, Score(()), 0.0, score.end_s)
    assert [note.pitch for note in made.track("drums").notes] == [38]
    assert [(note.onset_s, note.pitch) for note in made.track("bass").notes] == [(0.0, 43)]


@pytest.mark.parametrize("melody", [True, False])
@pytest.mark.parametrize("chords", [True, False])
def test_a_band_plays_through_the_whole_song_longer_than_the_context(melody, chords):
    score, grid = song(bars=12)
    grid = grid if chords else replace(grid, chords=("N",) * len(grid.chords))
    made = untrained()
    band = accompany(
        score.track("melody") if melody else None, grid, score.end_s, Sampler(made, GenerateSettings(), 0, "cpu")
    )
    assert band.track("melody") is None
    assert len(band.tracks) >= 3
    onsets = np.array([n.onset_s for t in band.tracks for n in t.notes])
    assert len(onsets) > made.config.context / 2
    assert np.histogram(onsets, bins=6, range=(0, score.end_s))[0].min() > 0
    assert onsets.max() <= score.end_s


def test_what_the_band_plays_depends_on_the_melody():
    score, grid = song()
    melody = score.track("melody")
    assert melody is not None
    moved = replace(melody, notes=tuple(replace(n, pitch=n.pitch + 1) for n in melody.notes))
    one, other = (accompany(m, grid, 16.0, Sampler(untrained(), GenerateSettings(), 0, "cpu")) for m in (melody, moved))
    assert one != other


def test_an_empty_prompt_still_gives_a_band():
    _, grid = song()
    longer, start, end = extend_grid(grid, 16.0, 4)
    new = extend(Score(()), longer, start, 4, Sampler(untrained(), GenerateSettings(), 0, "cpu"))
    assert {t.name for t in new.tracks} <= {"drums", "bass", "piano", "guitar", "strings"}
    assert len(new.tracks) >= 2
    assert all(start <= n.onset_s < end for t in new.tracks for n in t.notes)
    other = replace(longer, chords=("F#:maj",) * len(longer.chords))
    assert new != extend(Score(()), other, start, 4, Sampler(untrained(), GenerateSettings(), 0, "cpu"))


def test_tracks_that_the_prompt_has_not_join_it():
    score, grid = song()
    melody = Score(tuple(t for t in score.tracks if t.name == "melody"))
    longer, start, end = extend_grid(grid, score.end_s, 4)
    asked = GenerateSettings(tracks=("melody", "bass", "drums"))
    new = extend(melody, longer, start, 4, Sampler(untrained(context=256), asked, 0, "cpu"))
    assert {t.name for t in new.tracks} == {"melody", "bass", "drums"}
    assert all(start <= n.onset_s < end for t in new.tracks for n in t.notes)


def test_a_transcribed_prompt_is_marked_with_the_families_that_join_it(monkeypatch):
    tasks = []
    monkeypatch.setattr(
        sampling, "generate_bars", lambda network, task, *rest: (tasks.append(task), task.piece.notes[:0])[1]
    )
    score, grid = song()
    longer, start, _ = extend_grid(grid, score.end_s, 4)
    for transcribed in (False, True):
        extend(score, longer, start, 4, Sampler(untrained(), GenerateSettings(), 0, "cpu"), transcribed=transcribed)
    asked = GenerateSettings(tracks=("strings", "bass"))
    extend(score, longer, start, 4, Sampler(untrained(), asked, 0, "cpu"), transcribed=True)
    plain, from_transcription, joining, joined = tasks
    assert (plain.piece.transcribed_bars, from_transcription.piece.transcribed_bars, from_transcription.start) == (
        0,
        from_transcription.start,
        plain.start,
    )
    assert (joining.piece.transcribed_bars, joined.piece.transcribed_bars) == (0, joined.start), (
        "beside the prompt it still writes"
    )


def test_sparse_transcriptions_give_warnings():
    score, grid = song()
    assert sparse_input_warnings(score, grid, score.end_s, accompanied=True) == ()
    assert sparse_input_warnings(score, grid, score.end_s, accompanied=False) == ()
    stray = Score((Track("melody", 53, False, (Note(1.0, 0.2, 60, 80),)),))
    for accompanied in (True, False):
        (said,) = sparse_input_warnings(stray, grid, score.end_s, accompanied)
        assert "key, tempo and chords alone" in said
        (said,) = sparse_input_warnings(
            Score(()), replace(grid, chords=("N",) * len(grid.chords)), score.end_s, accompanied
        )
        assert "key and tempo alone" in said


def test_silence_before_the_outro_does_not_change_it():
    score, grid = song()
    late = replace(grid, beats_s=grid.beats_s + tuple(grid.beats_s[-1] + 0.5 * i for i in range(1, 33)))
    late = replace(late, downbeats_s=late.beats_s[::4], chords=("N",) * len(late.beats_s))
    now, later = late.beats_s[32], late.beats_s[48]
    one, other = (extend(score, late, s, 4, Sampler(untrained(), GenerateSettings(), 0, "cpu")) for s in (now, later))
    pitches = [[[n.pitch for n in t.notes] for t in new.tracks] for new in (one, other)]
    assert pitches[0] == pitches[1]
    assert min(n.onset_s for t in other.tracks for n in t.notes) >= later


def test_no_two_bars_in_a_row_stay_silent(monkeypatch):
    made = untrained()
    close = torch.eye(tokenizer.VOCABULARY)[tokenizer.BAR] * 100  # it would close every bar at once
    monkeypatch.setattr(made, "token_logits", lambda hidden, table: hidden @ table.T + close)
    piece = Piece(4, 100.0, 0, np.full(20, 4), np.zeros((0, 5), np.int64), np.zeros((0, 3), np.int64))
    rows = generate_bars(
        made, Request(piece, 0, 20, [1]), SamplingParams(1.0, 1.0, 0.0, 0.25), np.random.default_rng(0)
    )
    assert np.diff(np.unique([-1, *rows[:, 0], 20])).max() <= 2


@pytest.mark.parametrize("metre", [1, 3, 7, 11])
def test_any_metre_is_played(metre):
    score, grid = song(bars=6, metre=metre)
    longer, start, end = extend_grid(grid, score.end_s, 2)
    new = extend(score, longer, start, 2, Sampler(untrained(), GenerateSettings(density=2), 0, "cpu"))
    assert all(start <= n.onset_s < end for t in new.tracks for n in t.notes)
    assert new.tracks


def test_density_changes_how_much_is_played():
    _, grid = song()
    counts = [
        sum(
            len(t.notes)
            for t in accompany(None, grid, 8.0, Sampler(untrained(), GenerateSettings(density=d), 0, "cpu")).tracks
        )
        for d in (0.25, 4.0)
    ]
    assert counts[1] > 1.5 * counts[0]


def test_only_the_tracks_asked_for_are_written():
    score, grid = song()
    band = accompany(
        score.track("melody"), grid, 8.0, Sampler(untrained(), GenerateSettings(tracks=("bass",)), 0, "cpu")
    )
    assert [t.name for t in band.tracks] == ["bass"]


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"top_p": 2.0}, {"follow": -1.0}, {"tracks": ("flute",)}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(BadInput):
        GenerateSettings(**wrong)


def test_families_are_numbered_as_they_are_named():
    assert FAMILIES[tokenizer.DRUMS] == "drums"
    assert tokenizer.FAMILY_OF.max() == len(FAMILIES) - 1
