"""A song into its stems."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from models.core.types import Clip, Part, Stems
from models.separation.checkpoints import load, network_modules, separator_digest, separator_path
from models.separation.separate import split
from models.separation.settings import SeparateSettings
from models.separation.stems import check_sources, four_stems, parts_of_other
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import stage_watch


def _separator(separator: str, **inputs: Any) -> str:
    return separator_digest(separator)


def _separator_network(separator: str, **inputs: Any) -> tuple[str, ...]:
    return network_modules(separator_path(separator))


@stage("torch", "demucs", "numpy", depends=_separator, loads=_separator_network, resident=True)
def separate(audio: Clip, separator: str, settings: SeparateSettings, seed: int, device: str) -> Stems:
    """Separate the song into drums, bass, other and vocals with a Demucs network or one of ours."""
    network = NETWORKS.kept(load, separator_path(separator), device)
    sources = cast(Sequence[str], network.sources)
    check_sources(separator, sources)
    blocks = split(Store().source(audio), network, settings, seed, device, stage_watch("separate"))
    names = parts_of_other(sources)
    names = names if len(names) > 1 else []
    rows = (np.concatenate([four_stems(sources, block), block[[sources.index(n) for n in names]]]) for block in blocks)
    drums, bass, other, vocals, *rest = Store().put_together(rows, audio.sample_rate)
    return Stems(drums, bass, other, vocals, tuple(Part(name, clip) for name, clip in zip(names, rest, strict=True)))
