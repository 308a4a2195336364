import io
from dataclasses import replace

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.core.errors import BadInput
from models.core.types import Grid, Note, Score, Track
from models.symbolic.midi import from_midi, to_midi


def drifting(first_s: float, pickup: int, metre: int = 4, beats: int = 400, key: str = "A:min") -> Grid:
    """A grid that slows down from 140 to 90 BPM, with human jitter."""
    periods = 60 / np.linspace(140, 90, beats - 1) + np.random.default_rng(1).normal(0, 0.004, beats - 1)
    times = tuple(map(float, first_s + np.concatenate([[0], np.cumsum(periods)])))
    chords = tuple("C:maj" if i // 8 % 2 else "A:min" for i in range(beats))
    return Grid(times, times[pickup::metre], 110.0, metre, key, chords)


def on_beats(grid: Grid) -> Score:
    notes = tuple(Note(t, 0.2, 48 + i % 24, 1 + i % 127) for i, t in enumerate(grid.beats_s))
    return Score((Track("bass", 33, False, notes), Track("drums", 0, True, notes[::2])))


@pytest.mark.parametrize(
    ("first_s", "pickup", "metre"), [(0.0, 0, 4), (0.31, 0, 4), (0.31, 3, 4), (7.9, 2, 3), (0.02, 1, 4)]
)
def test_the_grid_survives_the_round_trip(first_s, pickup, metre):
    grid = drifting(first_s, pickup, metre)
    _, back = from_midi(to_midi(on_beats(grid), grid))
    beats = np.array(back.beats_s)
    assert np.abs(np.array(grid.beats_s)[:, None] - beats).min(axis=1).max() < 1e-4
    assert back.metre == metre
    assert back.key == grid.key
    downs = np.array(back.downbeats_s)
    assert np.abs(np.array(grid.downbeats_s)[:, None] - downs).min(axis=1).max() < 1e-4
    inside = downs[(downs > grid.downbeats_s[0] - 0.1) & (downs < grid.downbeats_s[-1] + 0.1)]
    assert len(inside) == len(grid.downbeats_s)


def test_notes_survive_the_round_trip():
    grid = drifting(0.31, 3)
    score = on_beats(grid)
    back, _ = from_midi(to_midi(score, grid))
    assert [(t.name, t.program, t.is_drum) for t in back.tracks] == [("bass", 33, False), ("drums", 0, True)]
    for before, after in zip(score.tracks, back.tracks, strict=True):
        assert [(n.pitch, n.velocity) for n in before.notes] == [(n.pitch, n.velocity) for n in after.notes]
        for attribute in ("onset_s", "duration_s"):
            gap = np.subtract(
                [getattr(n, attribute) for n in before.notes], [getattr(n, attribute) for n in after.notes]
            )
            assert np.abs(gap).max() < 2e-3


def test_a_daw_sees_the_tempo_map_and_the_bars():
    grid = drifting(0.31, 3)
    file = mido.MidiFile(file=io.BytesIO(to_midi(on_beats(grid), grid)))
    at, seconds, tempo, notes = 0, 0.0, 500_000, []
    for message in mido.merge_tracks(file.tracks):
        seconds += mido.tick2second(message.time, file.ticks_per_beat, tempo)
        at += message.time
        if message.type == "set_tempo":
            tempo = message.tempo
        if message.type == "note_on" and message.velocity and message.channel != 9:
            notes.append((at, seconds))
    signatures = [m for m in file.tracks[0] if m.type == "time_signature"]
    assert [(s.numerator, s.denominator) for s in signatures][-1] == (4, 4)
    ticks, times = np.array(notes).T
    np.testing.assert_allclose(times, grid.beats_s, atol=1e-5)  # no drift, though tempi are whole microseconds
    np.testing.assert_array_equal(np.diff(ticks), file.ticks_per_beat)  # every note on its beat
    first_bar = sum(m.time for m in file.tracks[0][: file.tracks[0].index(signatures[-1]) + 1])
    assert ticks[3] == first_bar


def test_chord_changes_are_written_as_texts():
    grid = drifting(0.0, 0, beats=24)
    file = mido.MidiFile(file=io.BytesIO(to_midi(on_beats(grid), grid)))
    assert [m.text for m in file.tracks[0] if m.type == "text"] == ["A:min", "C:maj", "A:min"]


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_hostile_bytes_are_refused(data):
    with pytest.raises(BadInput):
        from_midi(data)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_or_read(data):
    grid = drifting(0.3, 1, beats=12)
    damaged = bytearray(to_midi(on_beats(grid), grid))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        score, back = from_midi(bytes(damaged))
    except BadInput:
        return
    assert score.tracks
    assert len(back.beats_s) == len(back.chords) >= 2
    assert np.all(np.diff(back.beats_s) > 0)


def test_a_file_without_notes_is_refused():
    grid = drifting(0.0, 0, beats=8)
    with pytest.raises(BadInput, match="no notes"):
        from_midi(to_midi(Score(()), grid))


def test_a_key_is_guessed_where_the_file_has_none():
    grid = replace(drifting(0.0, 0, beats=40))
    scale = [0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0]
    notes = tuple(Note(t, 0.3, 67 + scale[i % 11], 80) for i, t in enumerate(grid.beats_s))
    file = mido.MidiFile(file=io.BytesIO(to_midi(Score((Track("a", 0, False, notes),)), grid)))
    for track in file.tracks:
        track[:] = [m if m.type != "key_signature" else mido.MetaMessage("text", text="", time=m.time) for m in track]
    stripped = io.BytesIO()
    file.save(file=stripped)
    assert from_midi(stripped.getvalue())[1].key == "G:maj"


def test_compound_metres_count_dotted_beats():
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("time_signature", numerator=6, denominator=8, time=0))
    for _ in range(24):
        track.append(mido.Message("note_on", note=60, velocity=90, time=0))
        track.append(mido.Message("note_on", note=60, velocity=0, time=240))
    file.tracks.append(track)
    written = io.BytesIO()
    file.save(file=written)
    grid = from_midi(written.getvalue())[1]
    assert grid.metre == 2
    assert np.diff(grid.beats_s)[0] == pytest.approx(0.75)
