"""The song continued after its end, by the Music Transformer."""

from models.core.types import Continuation, Prompt, Score
from models.generation import GenerateSettings, Sampler
from models.generation import extend as continued
from models.generation.weights import weights_digest, weights_path
from models.symbolic.beat_map import extend_grid
from tasks.cache.caching import stage
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import stage_watch


@stage("torch", "numpy", depends=weights_digest, resident=True)
def extend(
    prompt: Prompt, bars: int, transformer: str, settings: GenerateSettings, seed: int, device: str
) -> Continuation:
    """Continue the song for so many bars, in its key and groove."""
    longer, start_s, stop_s = extend_grid(prompt.grid, prompt.end_s, bars)
    if bars == 0:
        return Continuation(Score(()), longer, start_s, stop_s)
    from models.generation.network import load

    network = NETWORKS.kept(load, weights_path(transformer), device)
    sampler = Sampler(network, settings, seed, device, stage_watch("extend"))
    new = continued(prompt.score, longer, start_s, bars, sampler, prompt.transcribed)
    return Continuation(new, longer, start_s, stop_s)
