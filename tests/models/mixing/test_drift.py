"""A band written on a song's beats stays on them for four minutes, through a tempo that never stands still."""

import numpy as np

from models.core.types import Grid, Note, Score, Track, Wave
from models.mixing.mixer import MixPart, Original, mix_buses
from models.mixing.settings import MixSettings
from models.symbolic.beat_map import beats_to_seconds
from models.symbolic.midi import from_midi, to_midi
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render

RATE = 8_000
SECONDS = 240.0
WOODBLOCK = 76


def ramp() -> Grid:
    """From 84 to 132 beats a minute in four minutes."""
    beats = [0.35]
    while beats[-1] < SECONDS - 1:
        beats.append(beats[-1] + 60 / (84 + 48 * beats[-1] / SECONDS))
    return Grid(tuple(beats), tuple(beats[::4]), 108.0, 4, "C:maj", ("C:maj",) * len(beats))


def attacks(samples: np.ndarray, near_s: np.ndarray) -> np.ndarray:
    """When the sound starts next to each of these times, in seconds."""
    level = np.abs(samples).max(axis=0)
    result = []
    for time in near_s:
        start = round((time - 0.1) * RATE)
        here = level[start : start + round(0.2 * RATE)]
        result.append((start + int(np.argmax(here > 0.3 * here.max()))) / RATE)
    return np.array(result)


def test_the_backing_does_not_drift_from_the_beats_of_a_four_minute_ramp() -> None:
    grid = ramp()
    onsets = beats_to_seconds(grid, np.arange(len(grid.beats_s)))
    clicks = tuple(Note(float(t), 0.1, WOODBLOCK, 110) for t in onsets)
    score, again = from_midi(to_midi(Score((Track("drums", 0, True, clicks),)), grid))
    offbeats = np.abs(np.subtract.outer(np.asarray(grid.beats_s), np.asarray(again.beats_s))).min(axis=1)
    assert offbeats.max() < 0.010
    frames = round(SECONDS * RATE)
    band = Wave(np.concatenate(list(render(score, frames, RATE, RenderSettings())), axis=1), RATE)
    hum = Wave(0.1 * np.sin(2 * np.pi * 220 * np.arange(frames) / RATE, dtype=np.float32)[None].repeat(2, 0), RATE)
    sections = Original([hum], [band], grid.downbeats_s[::8])
    blocks = mix_buses([MixPart(hum)], [MixPart(band)], sections, frames, RATE, MixSettings())
    rendered = np.concatenate([block.backing for block in blocks], axis=1)
    late = attacks(rendered, onsets[:-2]) - onsets[:-2]
    assert np.abs(late - np.median(late[:8])).max() < 0.010
    assert abs(float(np.median(late[-8:]))) < 0.010
