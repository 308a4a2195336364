"""The example song: every stem rendered from the composition, level-matched and summed."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from models.audio.reverb import room_impulse_response
from models.core.dtypes import DoubleArray
from models.core.types import Grid, Samples, Score, Wave
from models.synthesis.example_song.composition import SAMPLE_RATE, Composition, compose
from models.synthesis.example_song.instruments import (
    PANS,
    bass_guitar,
    drum_kit,
    electric_piano,
    plucked_string,
    render_notes,
)
from models.synthesis.example_song.singer import FormantSinger, PitchContour, synthesise_voice

LEVELS_DB = {"drums": -19.0, "bass": -21.5, "other": -23.5, "lead_vocals": -18.5, "backing_vocals": -26.0}
ROOM_DB = {"drums": -17.0, "bass": -60.0, "other": -13.0, "lead_vocals": -15.0, "backing_vocals": -10.0}
PEAK = 0.88


@dataclass(frozen=True)
class ExampleSong:
    """The song and its ground truth.

    `mix` (44.1 kHz stereo, peak below 0.9) is the sum of `stems` added in their order: drums, bass, other, lead_vocals,
    backing_vocals. `score` has the notes of each stem in the tracks drums, bass, other, melody (the lead's) and
    backing_vocals; a sung note's onset is where its vowel starts. `f0` is the lead's pitch.
    """

    mix: Wave
    stems: dict[str, Wave]
    score: Score
    grid: Grid
    f0: PitchContour


def example_song(seed: int = 0, seconds: float = 30.0) -> ExampleSong:
    """The song in `seconds`, at least 4 (else `BadInput`); equal arguments give equal samples.

    Seed 0 is the demo, in A major; other seeds change key and timing.
    """
    sheet = compose(seed, seconds)
    frames = round(seconds * SAMPLE_RATE)
    lead, f0 = synthesise_voice(FormantSinger(seed), sheet.lead, frames)
    dry = _band(sheet, seed, frames) | {
        "lead_vocals": np.stack([lead, lead]),
        "backing_vocals": _backing_vocals(sheet, seed, frames),
    }
    response = room_impulse_response(0.9, SAMPLE_RATE, seed)
    stems = {name: _mixed_stem(dry[name], response, ROOM_DB[name], LEVELS_DB[name]) for name in LEVELS_DB}
    loudest = float(np.max(np.abs(_sum(stems))))
    scaled = {name: (stem * np.float32(PEAK / loudest)).astype(np.float32) for name, stem in stems.items()}
    waves = {name: Wave(stem, SAMPLE_RATE) for name, stem in scaled.items()}
    return ExampleSong(Wave(_sum(scaled), SAMPLE_RATE), waves, sheet.score, sheet.grid, f0)


def _sum(stems: dict[str, Samples]) -> Samples:
    total = np.zeros_like(next(iter(stems.values())))
    for stem in stems.values():
        total = total + stem
    return total


def _band(sheet: Composition, seed: int, frames: int) -> dict[str, DoubleArray]:
    keys = render_notes(sheet.keys, electric_piano, frames, lambda note: (note.pitch - 61) / 24)
    sway = 0.12 * np.sin(2 * np.pi * 2 * np.arange(frames) / SAMPLE_RATE)
    keys *= np.stack([1 + sway, 1 - sway])
    pluck = render_notes(sheet.pluck, plucked_string, frames, lambda note: 0.45 if note.pitch % 2 else -0.45)
    return {
        "drums": render_notes(sheet.drums, drum_kit(seed), frames, lambda note: PANS[note.pitch]),
        "bass": render_notes(sheet.bass, bass_guitar, frames, lambda note: 0.0),
        "other": keys + 0.6 * pluck,
    }


def _backing_vocals(sheet: Composition, seed: int, frames: int) -> DoubleArray:
    """The backing singers, left and right of the lead, each a little late and with a tract of their own."""
    low, high = sheet.backing
    left, _ = synthesise_voice(
        FormantSinger(seed + 101, tract=0.96, vibrato_hz=5.1, breathiness=1.4, late_s=0.012), low, frames
    )
    right, _ = synthesise_voice(
        FormantSinger(seed + 102, tract=1.1, vibrato_hz=5.8, breathiness=1.4, late_s=0.018), high, frames
    )
    return np.stack([0.8 * left + 0.25 * right, 0.3 * left + 0.7 * right])


def _mixed_stem(dry: DoubleArray, response: Samples, room_db: float, level_db: float) -> Samples:
    """The stem with its reverb and at its level (RMS where it sounds, in dBFS), faded out over the last 50 ms."""
    wet = oaconvolve(dry.astype(np.float32), response, axes=1)[:, : dry.shape[1]]
    sound = dry + 10 ** (room_db / 20) * wet
    power = (sound**2).mean(axis=0)
    sounding = power > 1e-4 * power.max()
    rms = np.sqrt(power[sounding].mean()) if sounding.any() else 1.0
    fade = np.minimum(np.arange(dry.shape[1])[::-1] / (0.05 * SAMPLE_RATE), 1)
    return np.asarray(sound * fade * 10 ** (level_db / 20) / max(rms, 1e-12), np.float32)
