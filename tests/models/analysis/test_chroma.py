import numpy as np
import pytest

from models.analysis.chroma import FPS, MIN_PITCH, beat_synchronous, fold_to_chroma, note_energies, note_spectra, tuning
from models.core.types import Wave
from models.symbolic.harmony import estimate_key

RATE = 22_050


def chord(pitches: tuple[float, ...], seconds: float = 3.0, partials: int = 8) -> Wave:
    """Notes whose overtones fall by a third each."""
    t = np.arange(round(seconds * RATE)) / RATE
    hz = [440 * 2 ** ((pitch - 69) / 12) for pitch in pitches]
    sound = sum(0.67**k * np.sin(2 * np.pi * f * (k + 1) * t) for f in hz for k in range(partials))
    return Wave((0.05 * sound[None]).astype(np.float32), RATE)


@pytest.mark.parametrize("detuned", [0.0, 0.3, -0.25])
def test_notes_are_separated_from_their_overtones_in_any_tuning(detuned):
    wave = chord(tuple(pitch + detuned for pitch in (48, 60, 64, 67)))
    spectra = note_spectra((wave,))
    assert tuning(spectra) == pytest.approx(detuned, abs=0.1)
    energies = note_energies(spectra).mean(axis=0)
    assert set(np.argsort(-energies)[:4] + MIN_PITCH) == {48, 60, 64, 67}


def test_sources_add_up_and_beats_are_means():
    low, high = chord((40,), 2.0), chord((72,), 4.0)
    spectra = note_spectra((low, high))
    assert len(spectra) == pytest.approx(4 * FPS, abs=2)
    each = beat_synchronous(note_energies(spectra), np.array([0.0, 1.0, 2.0, 3.0]))
    assert each.shape[0] == 4
    bass = fold_to_chroma(each, 40, 6)
    assert (bass[:2, 4] > 10 * bass[2:, 4].max()).all()
    assert np.argmax(fold_to_chroma(each, 72, 6).sum(axis=0)) == 0


def test_silence_has_no_notes():
    silence = Wave(np.zeros((1, RATE), np.float32), RATE)
    assert not note_energies(note_spectra((silence,))).any()


def test_chords_tell_a_key_from_its_relative():
    scale = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1.0])
    assert estimate_key(scale, ["C:maj", "F:maj", "G:maj", "C:maj"]) == "C:maj"
    assert estimate_key(scale, ["A:min", "D:min", "E:min", "A:min"]) == "A:min"
