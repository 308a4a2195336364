import numpy as np
import pytest

from models.core.types import Grid
from models.symbolic.beat_map import beats_to_seconds, downbeat_indices, extend_grid, seconds_to_beats

BEATS = tuple(float(t) for t in 0.2 + np.concatenate([[0], np.cumsum(np.linspace(0.6, 0.4, 40))]))
GRID = Grid(BEATS, BEATS[1::4], 120.0, 4, "C:maj", ("C:maj",) * len(BEATS))


def test_beats_and_seconds_are_inverses_inside_and_outside():
    times = np.linspace(-3, 30, 200)
    np.testing.assert_allclose(beats_to_seconds(GRID, seconds_to_beats(GRID, times)), times, atol=1e-9)
    np.testing.assert_allclose(seconds_to_beats(GRID, BEATS), np.arange(len(BEATS)), atol=1e-9)


def test_outside_the_grid_the_nearest_tempo_goes_on():
    assert beats_to_seconds(GRID, [-1.0])[0] == pytest.approx(BEATS[0] - (BEATS[1] - BEATS[0]))
    assert beats_to_seconds(GRID, [42.0])[0] == pytest.approx(BEATS[-1] + 2 * (BEATS[-1] - BEATS[-2]))


def test_downbeats_are_found_among_the_beats():
    assert downbeat_indices(GRID) == tuple(range(1, len(BEATS), 4))


@pytest.mark.parametrize("end_s", [BEATS[-1], BEATS[-1] + 0.3, BEATS[-1] - 1.0, BEATS[-1] + 9.0])
def test_the_outro_is_whole_bars_from_a_downbeat_at_the_last_tempo(end_s):
    longer, start, stop = extend_grid(GRID, end_s, 8)
    assert longer.beats_s[: len(BEATS)] == BEATS
    assert start in longer.downbeats_s
    first, last = (longer.beats_s.index(t) for t in (start, stop))
    assert last - first == 32
    assert end_s - 4 * 0.45 < start <= end_s + 0.15
    np.testing.assert_allclose(np.diff(longer.beats_s[len(BEATS) :]), 0.42, atol=0.03)
    assert len(longer.chords) == len(longer.beats_s)
    assert np.all(np.diff(longer.beats_s) > 0)
