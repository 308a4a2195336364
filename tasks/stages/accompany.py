"""A new band for the sung melody, by the Music Transformer."""

from typing import TYPE_CHECKING, Any

from models.core import registry
from models.core.types import Grid, Score
from models.generation import PlaySettings, Sampler
from models.generation import accompany as generated
from tasks.cache.caching import stage
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import stage_watch

if TYPE_CHECKING:
    from models.generation.network import MusicTransformer


def _weights(transformer: str, **inputs: Any) -> str:
    return registry.file_digest(registry.verified(registry.find("music_transformer", transformer)))


def _network(transformer: str, device: str) -> "MusicTransformer":
    from models.generation.network import load

    return NETWORKS.kept(load, registry.verified(registry.find("music_transformer", transformer)), device)


@stage("torch", "numpy", depends=_weights, resident=True)
def accompany(
    score: Score, grid: Grid, end_s: float, transformer: str, settings: PlaySettings, seed: int, device: str
) -> Score:
    """Generate a band for the sung melody, bar by bar, for the whole song."""
    sampler = Sampler(_network(transformer, device), settings, seed, device, stage_watch("accompany"))
    return generated(score.track("melody"), grid, end_s, sampler)
