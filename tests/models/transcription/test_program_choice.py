import numpy as np
import pytest

from models.core.types import Note, Score, Track, Wave
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render
from models.transcription.program_choice import auto_program

RATE = 44_100


def played(program: int, transpose: int = 0) -> tuple[Wave, tuple[Note, ...]]:
    pitches = (60, 64, 67, 72, 55, 57)
    notes = tuple(Note(0.2 + 0.5 * i, 0.4 + 0.1 * (i % 2), p + transpose, 100) for i, p in enumerate(pitches))
    blocks = render(Score((Track("t", program, False, notes),)), 5 * RATE, RATE, RenderSettings())
    return Wave(np.concatenate(list(blocks), axis=1), RATE), notes


@pytest.mark.parametrize(
    ("program", "role"),
    [(0, "other"), (4, "other"), (19, "other"), (24, "other"), (48, "other"), (33, "bass"), (39, "bass")],
)
def test_a_program_is_recognised_by_its_timbre(program, role):
    wave, notes = played(program, -24 if role == "bass" else 0)
    assert auto_program(wave, notes, role) == program


def test_gain_and_tone_of_the_recording_matter_little():
    wave, notes = played(48)
    dull = np.apply_along_axis(lambda x: np.convolve(x, [0.3, 0.5, 0.2], "same"), 1, wave.samples) * 0.05
    assert auto_program(Wave(dull.astype(np.float32), RATE), notes, "other") in (48, 50)


@pytest.mark.parametrize("role", ["bass", "vocals", "other"])
def test_a_stem_without_notes_still_has_an_instrument(role):
    assert 0 <= auto_program(Wave(np.zeros((2, RATE), np.float32), RATE), (), role) < 128
    silent_but_noted = (Note(0.1, 0.2, 50, 60),)
    assert 0 <= auto_program(Wave(np.zeros((2, RATE), np.float32), RATE), silent_but_noted, role) < 128
