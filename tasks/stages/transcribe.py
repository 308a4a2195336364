"""The stems become a score."""

import numpy as np

from models.analysis.f0 import F0
from models.core.types import Clip, Contour, Part, Score
from models.transcription.settings import TranscribeSettings
from models.transcription.transcribe import transcribe_song
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.runs.progress import stage_watch


@stage("basic-pitch", "onnxruntime", "tinysoundfont", "numpy", "scipy", "soxr")
def transcribe(
    drums: Clip,
    bass: Clip,
    other: Clip,
    lead: Clip,
    pitch: Contour,
    settings: TranscribeSettings,
    parts: tuple[Part, ...] = (),
) -> Score:
    """Transcribe bass and harmony (Basic Pitch), drums and the sung melody (from its f0).

    Where `other` is known in parts (guitar, piano), each of them is transcribed for itself.
    """
    source = Store().source
    harmony = {part.name: source(part.audio) for part in parts} or {"other": source(other)}
    track = F0(np.array(pitch.hz, np.float32), pitch.hop_s)
    return transcribe_song(
        source(drums), source(bass), harmony, source(lead), track, settings, stage_watch("transcribe")
    )
