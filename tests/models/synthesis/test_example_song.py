"""The example song sounds like what its score, grid and pitch contour say."""

from functools import cache

import numpy as np
import pytest
from scipy.signal import find_peaks

from models.core.errors import BadInput
from models.core.types import Wave
from models.synthesis.example_song import ExampleSong, example_song

RATE = 44100


@cache
def song(seconds: float = 8.0, seed: int = 0) -> ExampleSong:
    return example_song(seed, seconds)


def power(wave: Wave, start_s: float, stop_s: float) -> float:
    block = wave.read(round(start_s * RATE), round(stop_s * RATE))
    return float((block.astype(float) ** 2).mean())


def test_the_mix_is_exactly_the_sum_of_its_stems() -> None:
    total = np.zeros_like(song().mix.samples)
    for name in ("drums", "bass", "other", "lead_vocals", "backing_vocals"):
        stem = song().stems[name]
        assert stem.samples.dtype == np.float32
        assert stem.samples.shape == (2, 8 * RATE)
        assert power(stem, 0, 8) > 1e-6
        total = total + stem.samples
    np.testing.assert_array_equal(total, song().mix.samples)
    assert 0.5 < np.abs(song().mix.samples).max() < 0.9


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    again = example_song(0, 8.0)
    assert again.mix.samples.tobytes() == song().mix.samples.tobytes()
    assert again.score == song().score
    assert again.grid == song().grid
    other = song(seed=1)
    assert other.mix.samples.tobytes() != song().mix.samples.tobytes()
    assert other.grid.key != song().grid.key


@pytest.mark.parametrize("seconds", [4.0, 8.0, 30.0])
def test_the_grid_is_whole_bars_from_the_start(seconds: float) -> None:
    grid = song(seconds).grid
    assert len(grid.beats_s) == len(grid.chords) == grid.metre * len(grid.downbeats_s)
    np.testing.assert_allclose(np.diff(grid.beats_s), 60 / grid.tempo_bpm)
    assert set(grid.downbeats_s) <= set(grid.beats_s)
    assert grid.beats_s[-1] + 60 / grid.tempo_bpm == pytest.approx(seconds)
    assert 95 < grid.tempo_bpm < 130
    assert set(grid.chords) <= {"A:maj", "D:maj", "E:maj", "F#:min"}
    assert song(seconds).score.end_s < seconds


@pytest.mark.parametrize(("track", "stem"), [("bass", "bass"), ("other", "other"), ("melody", "lead_vocals")])
def test_every_note_of_the_score_sounds_at_its_pitch(track: str, stem: str) -> None:
    wave = song().stems[stem]
    notes = song().score.track(track).notes  # type: ignore[union-attr]
    assert len(notes) >= 8
    estimate = 0
    for note in notes:
        start = round((note.onset_s + 0.05) * RATE)
        stop = round((note.onset_s + max(note.duration_s, 0.12)) * RATE)
        block = wave.read(start, stop).mean(axis=0)
        spectrum = np.abs(np.fft.rfft(block * np.hanning(len(block)), 1 << 17))
        frequencies = np.fft.rfftfreq(1 << 17, 1 / RATE)
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        near = spectrum[np.abs(frequencies - hz) < hz * 0.03].max()
        estimate += near > 0.05 * spectrum.max()
    assert estimate >= 0.95 * len(notes)


def test_drum_hits_start_where_the_score_says() -> None:
    drums = song().stems["drums"].samples[0].astype(float)
    for note in song().score.track("drums").notes:  # type: ignore[union-attr]
        if note.pitch in (36, 38):
            at = round(note.onset_s * RATE)
            before, after = drums[max(at - 220, 0) : at], drums[at : at + 220]
            assert (after**2).sum() > 2 * (before**2).sum()


def test_the_lead_sings_at_the_true_pitch() -> None:
    lead, f0 = song().stems["lead_vocals"].samples.mean(axis=0), song().f0
    voiced = np.flatnonzero(f0.hz > 0)
    assert 0.2 < len(voiced) / len(f0.hz) < 0.9
    cents = []
    for k in voiced[20::40]:
        centre = round(k * f0.hop_s * RATE)
        block = lead[centre - 1024 : centre + 1024] * np.hanning(2048)
        spectrum = np.fft.irfft(np.abs(np.fft.rfft(block, 8192)) ** 2)
        lags = np.arange(int(RATE / (f0.hz[k] * 1.3)), int(RATE / (f0.hz[k] * 0.77)))
        if spectrum[0] > 1e-4:
            peaks = lags[find_peaks(spectrum[lags])[0]]
            cents.append(1200 * np.log2(RATE / peaks[np.argmax(spectrum[peaks])] / f0.hz[k]) if len(peaks) else 999)
    assert len(cents) > 10
    assert np.median(np.abs(cents)) < 15


def test_the_song_has_a_form() -> None:
    whole = song(30.0)
    beat = 60 / whole.grid.tempo_bpm
    vocals, backing = whole.stems["lead_vocals"], whole.stems["backing_vocals"]
    assert power(vocals, 0, 7 * beat) < 1e-4 * power(vocals, 8 * beat, 24 * beat)
    assert power(backing, 8 * beat, 22 * beat) < 1e-3 * power(backing, 25 * beat, 50 * beat)
    assert power(whole.mix, 24 * beat, 50 * beat) > power(whole.mix, 0, 8 * beat)
    breath = power(vocals, 7.2 * beat, 7.75 * beat)
    assert 1e-8 < breath < 0.05 * power(vocals, 8 * beat, 24 * beat)


def test_a_song_too_short_to_be_one_is_refused() -> None:
    with pytest.raises(BadInput, match="at least 4 s"):
        example_song(0, 1.0)
