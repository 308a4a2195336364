"""Synthetic songs with known stems: the example song, and its score rendered on other instruments."""

import numpy as np

from models.core.types import Samples, Score, Track
from models.synthesis.example_song.composition import SAMPLE_RATE
from models.synthesis.example_song.song import example_song
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render

BASSES = (33, 34, 36, 38, 39)
OTHERS = (0, 5, 16, 25, 27, 29, 48, 62, 81)
KITS = (0, 8, 16, 25)


def synthetic_song(seed: int, seconds: float) -> Samples:
    """Drums, bass, other and vocals of a song, at 44.1 kHz. Shape: (4, 2, frames).

    Even seeds give the example song; odd ones keep its vocals and render its band with random programs of the
    SoundFont. Equal arguments give equal samples.
    """
    song = example_song(seed, seconds)
    stems = {name: wave.samples for name, wave in song.stems.items()}
    if seed % 2:
        rng = np.random.default_rng(seed)
        programs = {"drums": KITS, "bass": BASSES, "other": OTHERS}
        for name, choice in programs.items():
            stems[name] = _render(song.score, name, int(choice[int(rng.integers(len(choice)))]), stems[name])
    vocals = stems["lead_vocals"] + stems["backing_vocals"]
    return np.stack([stems["drums"], stems["bass"], stems["other"], vocals])


def _render(score: Score, name: str, program: int, like: Samples) -> Samples:
    """A track of the score on another program, at the RMS level of the stem it replaces. Shape: that stem's."""
    track = score.track(name)
    assert track is not None
    alone = Score((Track(name, program, track.is_drum, track.notes),))
    sound = np.concatenate(list(render(alone, like.shape[1], SAMPLE_RATE, RenderSettings())), axis=1)
    loudness = [float(np.sqrt(np.square(wave).mean())) for wave in (like, sound)]
    return sound * np.float32(loudness[0] / max(loudness[1], 1e-9))
