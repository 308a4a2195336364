"""The stems become a grid of beats, chords and a key."""

from typing import Any

from models.analysis.analyse import estimate_grid
from models.analysis.settings import AnalyseSettings
from models.core import registry
from models.core.types import Clip, Grid
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import stage_watch


def _weights(settings: AnalyseSettings, **inputs: Any) -> str:
    return registry.file_digest(registry.verified(registry.find("beat_tracker", settings.tracker)))


@stage("torch", "numpy", "scipy", "soxr", depends=_weights, resident=True)
def analyse(drums: Clip, bass: Clip, other: Clip, settings: AnalyseSettings, device: str) -> Grid:
    """Estimate tempo, beats, downbeats, key and chords of the separated band."""
    from models.analysis.beat_tracker.network import load

    beat, low, harmony = (Store().source(clip) for clip in (drums, bass, other))
    path = registry.verified(registry.find("beat_tracker", settings.tracker))
    return estimate_grid(beat, low, harmony, NETWORKS.kept(load, path, device), settings, stage_watch("analyse"))
