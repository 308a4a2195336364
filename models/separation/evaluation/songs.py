"""Songs with known stems that anybody has: the example song, and its sheet played by other instruments."""

import numpy as np

from models.core.types import Samples, Score, Track
from models.synthesis.example_song.composition import SAMPLE_RATE
from models.synthesis.example_song.song import example_song
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render

BASSES = (33, 34, 36, 38, 39)
OTHERS = (0, 5, 16, 25, 27, 29, 48, 62, 81)
KITS = (0, 8, 16, 25)


def own_song(seed: int, seconds: float) -> Samples:
    """Drums, bass, other and vocals of a song, at 44.1 kHz. Shape: (4, 2, frames).

    Even seeds are the example song as it is; odd ones have its singers, and its band on instruments of the SoundFont
    drawn from the seed. Equal arguments give equal samples.
    """
    song = example_song(seed, seconds)
    stems = {name: wave.samples for name, wave in song.stems.items()}
    if seed % 2:
        rng = np.random.default_rng(seed)
        programs = {"drums": KITS, "bass": BASSES, "other": OTHERS}
        for name, choice in programs.items():
            stems[name] = _played(song.score, name, int(choice[int(rng.integers(len(choice)))]), stems[name])
    vocals = stems["lead_vocals"] + stems["backing_vocals"]
    return np.stack([stems["drums"], stems["bass"], stems["other"], vocals])


def _played(score: Score, name: str, program: int, like: Samples) -> Samples:
    """A track of the score on another instrument, as loud as the stem it stands for. Shape: that stem's."""
    track = score.track(name)
    assert track is not None
    alone = Score((Track(name, program, track.is_drum, track.notes),))
    sound = np.concatenate(list(render(alone, like.shape[1], SAMPLE_RATE, RenderSettings())), axis=1)
    loudness = [float(np.sqrt(np.square(wave).mean())) for wave in (like, sound)]
    return sound * np.float32(loudness[0] / max(loudness[1], 1e-9))
