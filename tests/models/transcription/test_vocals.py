import numpy as np
import pytest

from models.analysis.f0 import F0
from models.core.types import Wave
from models.transcription.settings import VocalNoteSettings
from models.transcription.vocals import vocal_notes

RATE, HOP_S = 16_000, 0.01
SETTINGS = VocalNoteSettings()


def sung(*notes: tuple[float, float, float], vibrato: float = 0.3, seconds: float = 4.0) -> tuple[F0, Wave]:
    """A pitch track and a voice singing (onset, duration, MIDI pitch) with vibrato of so many semitones."""
    times = np.arange(round(seconds / HOP_S) + 1) * HOP_S
    pitch = np.zeros(len(times))
    audio_times = np.arange(round(seconds * RATE)) / RATE
    level = np.zeros(len(audio_times))
    for onset, duration, midi in notes:
        inside = (times >= onset) & (times < onset + duration)
        pitch[inside] = midi + vibrato * np.sin(2 * np.pi * 5.5 * times[inside])
        here = (audio_times >= onset) & (audio_times < onset + duration)
        ramp = np.minimum(1, np.minimum(audio_times - onset, onset + duration - audio_times) / 0.03)
        level[here] = ramp[here]
    hz = np.where(pitch > 0, 440 * 2 ** ((pitch - 69) / 12), 0).astype(np.float32)
    voice = 0.3 * level * np.sin(2 * np.pi * 220 * audio_times)
    return F0(hz, HOP_S), Wave(voice[None].astype(np.float32), RATE)


def test_steady_notes_with_vibrato_are_one_note_each():
    result = vocal_notes(*sung((0.5, 0.6, 60), (1.2, 0.4, 64), (1.8, 0.9, 67)), SETTINGS)
    assert [n.pitch for n in result] == [60, 64, 67]
    np.testing.assert_allclose([n.onset_s for n in result], [0.5, 1.2, 1.8], atol=0.03)
    np.testing.assert_allclose([n.duration_s for n in result], [0.6, 0.4, 0.9], atol=0.05)


def test_legato_is_cut_where_the_pitch_moves_on():
    result = vocal_notes(*sung((0.5, 0.5, 60), (1.0, 0.5, 62), (1.5, 0.5, 60), vibrato=0.1), SETTINGS)
    assert [n.pitch for n in result] == [60, 62, 60]
    np.testing.assert_allclose([n.onset_s for n in result], [0.5, 1.0, 1.5], atol=0.03)


def test_the_same_pitch_sung_again_is_two_notes():
    result = vocal_notes(*sung((0.5, 0.5, 60), (1.0, 0.5, 60)), SETTINGS)
    assert [n.pitch for n in result] == [60, 60]
    assert result[1].onset_s == pytest.approx(1.0, abs=0.04)


def test_a_singer_out_of_tune_with_440_hz_is_rounded_to_their_own_tuning():
    result = vocal_notes(*sung((0.5, 0.5, 60.4), (1.1, 0.5, 62.4), (1.7, 0.5, 64.45), vibrato=0.1), SETTINGS)
    assert [n.pitch for n in result] == [60, 62, 64]


def test_louder_singing_is_a_higher_velocity():
    f0, voice = sung((0.5, 0.5, 60), (1.5, 0.5, 60))
    samples = voice.samples.copy()
    samples[:, : round(1.2 * RATE)] *= 0.2
    soft, loud = vocal_notes(f0, Wave(samples, RATE), SETTINGS)
    assert soft.velocity < loud.velocity - 10


def test_unvoiced_tracks_and_blips_hold_no_notes():
    f0, voice = sung()
    assert vocal_notes(f0, voice, SETTINGS) == ()
    assert vocal_notes(*sung((1.0, 0.04, 60)), SETTINGS) == ()
