"""The song continued after its end, by the Music Transformer."""

from typing import TYPE_CHECKING, Any

from models.core import registry
from models.core.types import Continuation, Grid, Score
from models.generation import PlaySettings, Sampler
from models.generation import extend as continued
from models.symbolic.beat_map import extend_grid
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
def extend(
    score: Score,
    grid: Grid,
    end_s: float,
    bars: int,
    transformer: str,
    settings: PlaySettings,
    seed: int,
    device: str,
    transcribed: bool = False,
) -> Continuation:
    """Continue the song for so many bars, in its key and groove; a `transcribed` score may have errors."""
    longer, start_s, stop_s = extend_grid(grid, end_s, bars)
    if bars == 0:
        return Continuation(Score(()), longer, start_s, stop_s)
    network = _network(transformer, device)
    watch = stage_watch("extend")
    new = continued(score, longer, start_s, bars, Sampler(network, settings, seed, device, watch), transcribed)
    return Continuation(new, longer, start_s, stop_s)
