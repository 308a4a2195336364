"""What a machine of several does in a test: a stage on a clip, in the store that they share."""

import numpy as np
from prefect import flow

from models.core.types import Clip, Take
from tasks.cache.caching import stage
from tasks.cache.store import Store


@stage("numpy")
def louder(audio: Clip, gain: float) -> Take:
    print("computed", flush=True)
    source = Store().source(audio)
    return Take(Store().put([source.read(0, source.frames) * gain], audio.sample_rate), 0.0, 0.0)


@flow
def work() -> None:
    audio = Store().put([np.full((2, 5000), 0.1, np.float32)], 44_100)
    take = louder(audio, 2.0)
    print("peak", float(Store().source(take.audio).read(0, 10).max()), flush=True)
