import numpy as np
import pytest

from models.drum_notes import DrumSettings, drum_notes
from models.records import Note, Score, Track, Wave
from models.rendering import RenderSettings, render

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


def hits(truth, found, pitch):
    """Shares of the true strokes that were found, and of the found ones that are true (50 ms)."""
    true, seen = ([n.onset_s for n in notes if n.pitch == pitch] for notes in (truth, found))
    recall = np.mean([min((abs(t - s) for s in seen), default=9) < 0.05 for t in true])
    precision = np.mean([min(abs(t - s) for t in true) < 0.05 for s in seen]) if seen else 0.0
    return recall, precision


@pytest.mark.parametrize("pitch", [36, 42])
def test_kick_and_hat_are_written_down(pitch):
    wave, truth = groove()
    recall, precision = hits(truth, drum_notes(wave, SETTINGS), pitch)
    assert recall > 0.9
    assert precision > 0.45


def test_notes_are_sorted_and_on_time():
    wave, truth = groove()
    found = drum_notes(wave, SETTINGS)
    assert list(found) == sorted(found, key=lambda n: (n.onset_s, n.pitch))
    gaps = [min((n.onset_s - t.onset_s for t in truth), key=abs) for n in found if n.pitch == 36]
    assert abs(float(np.median(gaps))) < 0.02


def test_silence_holds_no_strokes():
    assert drum_notes(Wave(np.zeros((2, RATE), np.float32), RATE), SETTINGS) == ()
    assert drum_notes(Wave(np.full((1, 1), 0.5, np.float32), RATE), SETTINGS) == ()
