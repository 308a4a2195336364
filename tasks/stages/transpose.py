"""A stem moves into another key."""

import numpy as np

from models.core.types import Clip
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.runs.progress import stage_watch


@stage("librosa", "numpy", "soxr")
def transpose(audio: Clip, semitones: int) -> Clip:
    """Move a recording by so many semitones at its own tempo, by librosa's phase vocoder."""
    from librosa.effects import pitch_shift

    watch, source = stage_watch("transpose"), Store().source(audio)
    whole = source.read(0, source.frames)
    moved = []
    for index, channel in enumerate(whole):
        watch.at(index / len(whole))
        moved.append(pitch_shift(channel, sr=audio.sample_rate, n_steps=semitones, res_type="soxr_hq"))
    watch.at(1.0)
    return Store().put(iter([np.asarray(moved, np.float32)]), audio.sample_rate)
