"""The lead voice becomes a pitch track."""

from models.analysis.f0 import sung_s, track_f0
from models.analysis.settings import PitchSettings
from models.core.types import Clip, Contour
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.runs.progress import stage_watch


@stage("numpy", "scipy", "soxr")
def follow_pitch(voice: Clip, song: Clip, settings: PitchSettings) -> Contour:
    """Follow the sung pitch (f0) of a voice taken from that song, and say how long it sings."""
    source = Store().source(voice)
    f0 = track_f0(source, settings, stage_watch("follow_pitch"))
    sung = sung_s(source, Store().source(song), f0, settings.residue_db)
    return Contour(tuple(round(float(h), 3) for h in f0.hz), f0.hop_s, round(sung, 3))
