from functools import cache
from itertools import pairwise

import mir_eval
import numpy as np
import pytest
from soxr import resample

from models.analysis.analyse import constant_tempo_grid, estimate_grid
from models.analysis.beat_tracker.network import BeatTracker, load
from models.analysis.settings import AnalyseSettings
from models.core import registry
from models.core.progress import Watch
from models.core.types import Grid, Note, Score, Track, Wave
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render

RATE = 22_050
SETTINGS = AnalyseSettings()
PROGRESSION = ((0, "maj"), (9, "min"), (5, "maj"), (7, "maj"))


@cache
def tracker() -> BeatTracker:
    return load(registry.verified(registry.find("beat_tracker", SETTINGS.tracker)))


@cache
def band(metre: int = 4, start_bpm: float = 100, end_bpm: float = 100, bars: int = 12) -> tuple[Wave, Wave, Wave, Grid]:
    """Drums, bass and piano of a song in C, with the truth about it."""
    count = bars * metre
    beats = 0.4 + np.concatenate([[0], np.cumsum(60 / np.linspace(start_bpm, end_bpm, count))])
    drums, bass, piano, chords = [], [], [], []
    for i, (onset, until) in enumerate(pairwise(beats)):
        root, quality = PROGRESSION[i // metre % 4]
        chords.append(f"{['C', 'D', 'E', 'F', 'G', 'A', 'B'][(0, 2, 4, 5, 7, 9, 11).index(root)]}:{quality}")
        place = i % metre
        drums.append(Note(onset, 0.1, 36 if (place in (0, 2) and metre == 4) or place == 0 else 38, 110))
        drums += [Note(onset, 0.1, 42, 70), Note((onset + until) / 2, 0.1, 42, 60)]
        if place in (0, 2):
            bass.append(Note(onset, (until - onset) * 1.5, 36 + root, 100))
        third = 4 if quality == "maj" else 3
        piano += [Note(onset, until - onset, 60 + root + step, 80 + 20 * (place == 0)) for step in (0, third, 7)]
    frames = round((beats[-1] + 1) * RATE)

    def played(track: Track) -> Wave:
        return Wave(np.concatenate(list(render(Score((track,)), frames, RATE, RenderSettings())), axis=1), RATE)

    truth = Grid(tuple(beats[:-1]), tuple(beats[:-1:metre]), start_bpm, metre, "C:maj", tuple(chords))
    tracks = (Track("d", 0, True, tuple(drums)), Track("b", 33, False, tuple(bass)), Track("o", 0, False, tuple(piano)))
    return *map(played, tracks), truth  # type: ignore[return-value]


def silence(seconds: float = 5.0) -> Wave:
    return Wave(np.zeros((2, round(seconds * RATE)), np.float32), RATE)


def usable(grid: Grid, duration_s: float) -> None:
    assert len(grid.beats_s) == len(grid.chords) >= 2
    assert len(grid.downbeats_s) >= 1
    assert set(grid.downbeats_s) <= set(grid.beats_s)
    assert np.all(np.diff(grid.beats_s) > 0)
    assert 0 <= grid.beats_s[0] < 1.2
    assert grid.beats_s[-1] >= duration_s - 1e-6
    assert all(type(t) is float for t in (*grid.beats_s, *grid.downbeats_s, grid.tempo_bpm))


@pytest.mark.parametrize(("metre", "start", "end"), [(4, 100, 100), (4, 96, 120), (3, 110, 110)])
def test_beats_and_chords_of_a_band_are_estimated(metre, start, end):
    *stems, truth = band(metre, start, end)
    grid = estimate_grid(*stems, tracker(), SETTINGS)
    usable(grid, stems[0].duration_s)
    assert grid.metre == metre
    assert mir_eval.beat.f_measure(np.array(truth.beats_s), np.array(grid.beats_s[:-1])) > 0.9
    inside = np.array([t for t in grid.downbeats_s if t < truth.beats_s[-1]])
    assert mir_eval.beat.f_measure(np.array(truth.downbeats_s), inside) > 0.85
    assert grid.key in ("C:maj", "A:min")
    nearest = [int(np.argmin(np.abs(np.array(grid.beats_s) - t))) for t in truth.beats_s]
    right = [grid.chords[i] == chord for i, chord in zip(nearest, truth.chords, strict=True)]
    assert np.mean(right) > 0.8


def test_beats_are_within_20_ms_of_the_strokes():
    *stems, truth = band()
    beats = np.array(estimate_grid(*stems, tracker(), SETTINGS).beats_s)
    gaps = [beats[np.argmin(np.abs(beats - t))] - t for t in truth.beats_s[2:-2]]
    assert abs(float(np.median(gaps))) < 0.012
    assert np.percentile(np.abs(gaps), 90) < 0.025


def test_a_song_without_drums_still_has_its_beats():
    _, bass, other, truth = band()
    grid = estimate_grid(silence(bass.duration_s), bass, other, tracker(), SETTINGS)
    assert mir_eval.beat.f_measure(np.array(truth.beats_s), np.array(grid.beats_s[:-1])) > 0.85


@pytest.mark.parametrize(("start_s", "stop_s"), [(10, 18), (10, 40), (28, 58)])
def test_a_pause_does_not_change_the_tempo_of_what_is_around_it(start_s, stop_s):
    *stems, truth = band(4, 140, 140, bars=16 if stop_s < 50 else 12)
    cut = round(start_s * RATE) if stop_s < 50 else stems[0].samples.shape[1]
    pause = np.zeros((2, round((stop_s - start_s) * RATE)), np.float32)
    paused = [Wave(np.concatenate([s.samples[:, :cut], pause, s.samples[:, cut:]], 1), RATE) for s in stems]
    beats = np.array(estimate_grid(*paused, tracker(), SETTINGS).beats_s)
    assert 60 / np.median(np.diff(beats[beats < 10])) == pytest.approx(140, rel=0.03)
    known = np.array(truth.beats_s)
    estimate, true = beats[beats < cut / RATE - 1], known[known < cut / RATE - 1]
    assert mir_eval.beat.f_measure(true, estimate) > 0.9


def test_gain_and_rate_hardly_matter():
    *stems, _ = band()
    doubled = [resample(s.samples.T, RATE, RATE * 2).T for s in stems]
    quiet = [Wave((samples * 0.05).astype(np.float32), RATE * 2) for samples in doubled]
    loud, soft = estimate_grid(*stems, tracker(), SETTINGS), estimate_grid(*quiet, tracker(), SETTINGS)
    assert soft.tempo_bpm == pytest.approx(loud.tempo_bpm, rel=0.01)
    assert soft.key == loud.key


def test_silence_has_a_steady_grid():
    grid = estimate_grid(silence(), silence(), silence(), tracker(), SETTINGS)
    usable(grid, 5.0)
    assert grid == constant_tempo_grid(5.0, 120.0)
    assert set(grid.chords) == {"N"}


@pytest.mark.parametrize("frames", [1, 50, 3_000, RATE])
@pytest.mark.parametrize("kind", ["noise", "drone"])
def test_anything_has_a_usable_grid(frames, kind):
    samples = np.random.default_rng(0).standard_normal((2, frames)) * 0.1
    if kind == "drone":
        samples = np.tile(np.sin(2 * np.pi * 220 * np.arange(frames) / RATE), (2, 1))
    wave = Wave(samples.astype(np.float32), RATE)
    usable(estimate_grid(wave, wave, wave, tracker(), SETTINGS), wave.duration_s)


def test_the_same_song_gives_the_same_grid_and_progress_is_reported():
    *stems, _ = band()
    progress: list[float] = []
    assert estimate_grid(*stems, tracker(), SETTINGS, Watch(progress.append)) == estimate_grid(
        *stems, tracker(), SETTINGS
    )
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert len(progress) > 5
