"""A new band for the sung melody, by the Music Transformer."""

from models.core.types import Grid, Score
from models.generation import GenerateSettings, Sampler
from models.generation import accompany as generated
from models.generation.weights import weights_digest, weights_path
from tasks.cache.caching import stage
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import stage_watch


@stage("torch", "numpy", depends=weights_digest, resident=True)
def accompany(
    score: Score, grid: Grid, end_s: float, transformer: str, settings: GenerateSettings, seed: int, device: str
) -> Score:
    """Generate a band for the sung melody, bar by bar, for the whole song."""
    from models.generation.network import load

    sampler = Sampler(
        NETWORKS.kept(load, weights_path(transformer), device), settings, seed, device, stage_watch("accompany")
    )
    return generated(score.track("melody"), grid, end_s, sampler)
