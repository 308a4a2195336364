import numpy as np
import pytest

from models.core.types import Note, Score, Track, Wave
from models.synthesis.example_song import example_song
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render
from models.transcription.drums import drum_notes
from models.transcription.evaluation.metrics import drum_onsets
from models.transcription.settings import DrumSettings

RATE = 44_100
SETTINGS = DrumSettings()
BEAT = 0.5


def groove(kit: int = 0) -> tuple[Wave, tuple[Note, ...]]:
    notes = []
    for i in range(16):
        notes.append(Note(0.3 + i * BEAT, 0.1, 36 if i % 2 == 0 else 38, 110))
        notes += [Note(0.3 + (i + part) * BEAT, 0.1, 42, 90) for part in (0, 0.5)]
    ordered = tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))
    score = Score((Track("drums", kit, True, ordered),))
    return Wave(np.concatenate(list(render(score, 9 * RATE, RATE, RenderSettings())), axis=1), RATE), ordered


@pytest.mark.parametrize("kit", [0, 25])
def test_kick_snare_and_hat_are_transcribed(kit):
    wave, truth = groove(kit)
    score = drum_onsets(truth, drum_notes(wave, SETTINGS))
    assert score["kick"].f1 > 0.9
    assert score["snare"].f1 > 0.9
    assert score["hi-hat"].precision > 0.9
    assert score["hi-hat"].recall > 0.7  # a snare hides the hi-hat struck with it


def test_a_kit_that_is_in_no_soundfont_is_transcribed():
    song = example_song(0, 12.0)
    score = drum_onsets(song.score.track("drums").notes, drum_notes(song.stems["drums"], SETTINGS))
    assert score["kick"].f1 > 0.65
    assert score["all"].f1 > 0.6


@pytest.mark.parametrize("gain_db", [-30, -50])
def test_how_loud_the_recording_is_does_not_matter(gain_db):
    wave, _ = groove()
    quiet = Wave(wave.samples * np.float32(10 ** (gain_db / 20)), RATE)
    loud, soft = drum_notes(wave, SETTINGS), drum_notes(quiet, SETTINGS)
    assert [(n.onset_s, n.pitch) for n in soft] == [(n.onset_s, n.pitch) for n in loud]


def test_notes_are_sorted_and_on_time():
    wave, truth = groove()
    result = drum_notes(wave, SETTINGS)
    assert list(result) == sorted(result, key=lambda n: (n.onset_s, n.pitch))
    gaps = [min((n.onset_s - t.onset_s for t in truth), key=abs) for n in result if n.pitch == 36]
    assert abs(float(np.median(gaps))) < 0.02


def test_silence_holds_no_drum_hits():
    assert drum_notes(Wave(np.zeros((2, RATE), np.float32), RATE), SETTINGS) == ()
    assert drum_notes(Wave(np.full((1, 1), 0.5, np.float32), RATE), SETTINGS) == ()


def test_separation_residue_is_not_transcribed():
    wave, _ = groove()
    organ = np.tile(0.1 * np.sin(2 * np.pi * 220 * np.arange(wave.frames) / RATE), (2, 1)).astype(np.float32)
    for below_db, kept in ((14, True), (45, False)):
        stem = Wave(wave.samples * np.float32(10 ** (-below_db / 20)), RATE)
        notes = drum_notes(stem, SETTINGS, song=Wave(organ + stem.samples, RATE))
        assert notes == (drum_notes(stem, SETTINGS) if kept else ())
