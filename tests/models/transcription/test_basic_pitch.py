import logging
from functools import cache

import numpy as np
import soundfile

from models.core.progress import Watch
from models.core.types import Note, Samples, Score, Track, Wave
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render
from models.transcription.basic_pitch.decode import transcribe_stem
from models.transcription.basic_pitch.network import RATE, compute_posteriors
from models.transcription.basic_pitch.note_filter import SongPosteriors
from models.transcription.settings import BASS_SETTINGS, HARMONY_SETTINGS


@cache
def piece(program: int, pitches: tuple[int, ...], seconds: float = 6.3) -> tuple[Wave, tuple[Note, ...]]:
    """Notes of 0.4 s one after the other (tuples of pitches would be chords), rendered at the network's rate."""
    notes = tuple(Note(0.2 + 0.5 * i, 0.4, p, 100) for i, p in enumerate(pitches))
    blocks = render(Score((Track("t", program, False, notes),)), round(seconds * RATE), RATE, RenderSettings())
    return Wave(np.concatenate(list(blocks), axis=1), RATE), notes


SCALE = (60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77)
LINE = (40, 43, 45, 47, 48, 50, 38, 36, 41, 43, 33)


def test_batches_give_what_the_package_gives_by_its_own_loop(tmp_path):
    logging.disable(logging.WARNING)  # the package warns of every runtime that is not installed
    from basic_pitch import FilenameSuffix, build_icassp_2022_model_path
    from basic_pitch.inference import Model, run_inference

    logging.disable(logging.NOTSET)
    wave, _ = piece(0, SCALE)
    soundfile.write(tmp_path / "a.wav", wave.samples.mean(axis=0), RATE, subtype="FLOAT")
    theirs = run_inference(tmp_path / "a.wav", Model(build_icassp_2022_model_path(FilenameSuffix.onnx)))
    for batch in (1, 3, 8):
        ours = compute_posteriors(wave, batch, threads=1)
        np.testing.assert_allclose(ours.frames, theirs["note"], atol=1e-5)
        np.testing.assert_allclose(ours.onsets, theirs["onset"], atol=1e-5)


def matches(truth: tuple[Note, ...], result: tuple[Note, ...]) -> tuple[int, int]:
    """How many true notes were found (50 ms, same pitch), and how many notes were found."""
    right = [any(abs(n.onset_s - f.onset_s) < 0.05 and n.pitch == f.pitch for f in result) for n in truth]
    return sum(right), len(result)


def test_a_scale_on_the_piano_is_transcribed():
    wave, truth = piece(0, SCALE)
    right, count = matches(truth, transcribe_stem(wave, HARMONY_SETTINGS))
    assert right >= 10
    assert count <= 16


def test_a_bass_line_is_transcribed_as_one_voice():
    wave, truth = piece(33, LINE)
    result = transcribe_stem(wave, BASS_SETTINGS)
    right, count = matches(truth, result)
    assert right >= 10
    assert count <= 13
    ends = [n.onset_s + n.duration_s for n in result]
    assert all(end <= later.onset_s + 1e-9 for end, later in zip(ends, result[1:], strict=False))


def test_onsets_do_not_drift_over_many_windows():
    notes = tuple(Note(0.3 + 2.5 * i, 0.5, 60 + i % 5, 100) for i in range(16))
    blocks = render(Score((Track("t", 0, False, notes),)), 41 * RATE, RATE, RenderSettings())
    result = transcribe_stem(Wave(np.concatenate(list(blocks), axis=1), RATE), HARMONY_SETTINGS)
    late = [min((f.onset_s - n.onset_s for f in result if f.pitch == n.pitch), key=abs) for n in notes]
    assert abs(np.mean(late[:4]) - np.mean(late[-4:])) < 0.01
    assert np.abs(late).max() < 0.04


def test_silence_and_next_to_nothing_hold_no_notes():
    assert transcribe_stem(Wave(np.zeros((2, 3 * RATE), np.float32), RATE), HARMONY_SETTINGS) == ()
    assert transcribe_stem(Wave(np.ones((1, 5), np.float32), 44_100), BASS_SETTINGS) == ()


class Endless:
    """A long source that remembers the longest block it was asked for."""

    sample_rate, channels, frames, longest = 22_050, 1, 22_050 * 60, 0

    def read(self, start: int, stop: int) -> Samples:
        self.longest = max(self.longest, stop - start)
        return np.zeros((1, stop - start), np.float32)


def test_the_source_is_read_in_blocks_and_progress_is_reported():
    source, progress = Endless(), list[float]()
    transcribe_stem(source, HARMONY_SETTINGS, Watch(progress.append))
    assert source.longest <= 22_050 * 20
    assert progress == sorted(progress)
    assert len(progress) >= 4
    assert progress[-1] == 1.0


def test_velocities_follow_the_loudness_of_the_stem():
    wave, _ = piece(0, SCALE)
    fading = wave.samples * np.linspace(1, 0.15, wave.frames, dtype=np.float32)
    result = transcribe_stem(Wave(fading, RATE), HARMONY_SETTINGS)
    first, last = ([n.velocity for n in result if lo < n.onset_s < hi] for lo, hi in ((0, 1.5), (4.5, 6)))
    assert np.mean(last) < 0.7 * np.mean(first)


def test_posteriors_of_the_rest_of_the_song_suppress_leaks():
    piano, truth = piece(0, SCALE)
    bass, _ = piece(33, LINE)
    leaky = Wave(piano.samples + 0.25 * bass.samples, RATE)
    mix = Wave(piano.samples + bass.samples, RATE)
    nothing = Wave(np.zeros_like(mix.samples), RATE)
    rest = SongPosteriors(*(compute_posteriors(wave, 8, threads=1) for wave in (mix, bass, nothing)))
    alone, in_song = (matches(truth, transcribe_stem(leaky, HARMONY_SETTINGS, song=song)) for song in (None, rest))
    assert in_song[0] >= alone[0] >= 9
    assert in_song[1] - in_song[0] < 0.9 * (alone[1] - alone[0])


def test_silence_in_a_song_holds_no_notes():
    silence = Wave(np.zeros((2, 3 * RATE), np.float32), RATE)
    estimate = compute_posteriors(silence, 8, threads=1)
    assert transcribe_stem(silence, HARMONY_SETTINGS, song=SongPosteriors(estimate, estimate, estimate)) == ()
    short = compute_posteriors(Wave(np.zeros((1, 5), np.float32), RATE), 8, threads=1)
    assert transcribe_stem(silence, HARMONY_SETTINGS, song=SongPosteriors(short, short, short)) == ()
