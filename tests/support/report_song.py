"""A small finished remix of noise, for the tests of the report."""

from dataclasses import replace

import numpy as np

from models.analysis.f0 import F0
from models.core.types import Grid, Note, Samples, Score, Track, Wave
from models.report.types import ReportInput, StageRun

RATE = 16_000


def noise(seconds: float, seed: int, rate: int = RATE, channels: int = 1) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.1, (channels, round(seconds * rate))).astype(np.float32)


def grid(bars: int = 8) -> Grid:
    beats = tuple(0.5 * i for i in range(4 * bars))
    chords = tuple("C:maj" if i % 8 < 4 else "A:min" for i in range(4 * bars))
    return Grid(beats, beats[::4], 120.0, 4, "C:maj", chords)


def melody(pitches: list[int], name: str = "piano", step_s: float = 0.5) -> Score:
    notes = tuple(Note(step_s * i, step_s, pitch, 90) for i, pitch in enumerate(pitches))
    return Score((Track(name, 0, False, notes),))


def remix(**changes: object) -> ReportInput:
    lead, band = Wave(noise(16, 1), RATE), Wave(noise(16, 2), RATE)
    song = Wave(lead.samples + band.samples, RATE)
    pitch = F0((220 * 2 ** (np.sin(np.arange(1600) / 60) / 4)).astype(np.float32), 0.01)
    data = ReportInput(
        title="a song",
        original=song,
        mix=song,
        stems={"lead_vocals": lead, "other": band},
        revoiced=lead,
        backing=band,
        score=melody([60, 64, 67, 72] * 8),
        extended=melody([60, 64, 67, 72] * 8),
        grid=grid(),
        f0_original=pitch,
        f0_revoiced=pitch,
        loudness_lufs=-14.0,
        true_peak_dbtp=-1.2,
        voice="nobody",
        voice_ground="synthetic",
        separator="true stems",
        notes=(),
        audio={},
        stages=(StageRun("ingest", 1.0, False, ()),),
    )
    return replace(data, **changes)  # type: ignore[arg-type]
