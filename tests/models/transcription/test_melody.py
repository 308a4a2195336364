import numpy as np
import pytest

from models.analysis.f0 import F0, track_f0
from models.analysis.settings import F0Settings
from models.core.types import Note, Wave
from models.synthesis.example_song import ExampleSong, example_song
from models.transcription.basic_pitch.network import compute_posteriors
from models.transcription.basic_pitch.note_filter import SongPosteriors
from models.transcription.evaluation.metrics import note_onsets
from models.transcription.melody import pitch_agreement, transcribe_melody
from models.transcription.settings import MelodySettings
from models.transcription.vocals import vocal_notes


@pytest.fixture(scope="module")
def song() -> ExampleSong:
    return example_song(0, 10.0)


def test_a_voice_is_transcribed_from_its_pitch_track_with_onsets_on_its_vowels(song: ExampleSong) -> None:
    lead = song.stems["lead_vocals"]
    f0 = track_f0(lead, F0Settings())
    assert pitch_agreement(f0, compute_posteriors(lead, 8, 1)) > 0.8
    result = transcribe_melody(compute_posteriors(lead, 8, 1), f0, lead, MelodySettings())
    tracked = vocal_notes(f0, lead, MelodySettings().sung)
    assert [note.pitch for note in result] == [note.pitch for note in tracked]
    assert all(abs(a.onset_s - b.onset_s) <= 0.11 for a, b in zip(result, tracked, strict=True))
    truth = song.score.track("melody")
    assert truth is not None
    late = [late_s(truth.notes, notes) for notes in (result, tracked)]
    assert late[0] < 0.8 * late[1], "a pitch track begins with the consonant"


def late_s(truth: tuple[Note, ...], notes: tuple[Note, ...]) -> float:
    """The median distance of onsets from the nearest true one."""
    onsets = np.array([note.onset_s for note in truth])
    return float(np.median([np.abs(onsets - note.onset_s).min() for note in notes]))


def test_what_a_separator_left_far_below_the_voice_is_no_note(song: ExampleSong) -> None:
    lead = song.stems["lead_vocals"]
    f0 = track_f0(lead, F0Settings())
    samples = lead.samples.copy()
    half = next(note for note in vocal_notes(f0, lead) if note.onset_s > 5.0)
    samples[:, round(half.onset_s * lead.sample_rate) :] *= 0.05
    kept = vocal_notes(f0, Wave(samples, lead.sample_rate))
    assert kept
    assert all(note.onset_s < half.onset_s + 0.05 for note in kept)


def test_leaks_of_a_band_are_not_taken_for_a_voice(song: ExampleSong) -> None:
    """The pitch track of a mix wanders between instruments; the melody is then looked for among all notes."""
    stems = song.stems
    leaky = Wave(
        sum(stems[name].samples for name in ("drums", "bass", "other")) + 0.3 * stems["lead_vocals"].samples, 44100
    )
    f0 = track_f0(leaky, F0Settings())
    assert pitch_agreement(f0, compute_posteriors(leaky, 8, 1)) < 0.6
    estimate = SongPosteriors(*(compute_posteriors(wave, 8, 1) for wave in (song.mix, stems["bass"], stems["other"])))
    result = transcribe_melody(compute_posteriors(leaky, 8, 1), f0, leaky, MelodySettings(), estimate)
    assert result != vocal_notes(f0, leaky, MelodySettings().sung)
    ends = [n.onset_s + n.duration_s for n in result]
    assert all(end <= later.onset_s + 1e-9 for end, later in zip(ends, result[1:], strict=False))
    truth = song.score.track("melody")
    assert truth is not None
    assert note_onsets(truth.notes, result).f1 > note_onsets(truth.notes, vocal_notes(f0, leaky)).f1


def test_without_a_pitch_there_is_no_melody() -> None:
    silence = Wave(np.zeros((2, 44100), np.float32), 44100)
    unvoiced = F0(np.zeros(100, np.float32), 0.01)
    assert transcribe_melody(compute_posteriors(silence, 8, 1), unvoiced, silence, MelodySettings()) == ()
