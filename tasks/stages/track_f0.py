"""The f0 of the lead vocals."""

from models.analysis.f0 import sung_s
from models.analysis.f0 import track_f0 as tracked
from models.analysis.settings import F0Settings
from models.core.types import Clip, Contour
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.runs.progress import stage_watch


@stage("numpy", "scipy", "soxr")
def track_f0(voice: Clip, song: Clip, settings: F0Settings) -> Contour:
    """Track the f0 of a vocal stem of that song, and measure for how long it sings."""
    source = Store().source(voice)
    f0 = tracked(source, settings, stage_watch("track_f0"))
    sung = sung_s(source, Store().source(song), f0, settings.residue_db)
    return Contour(tuple(round(float(h), 3) for h in f0.hz), f0.hop_s, round(sung, 3))
