"""A song becomes its stems, and its vocals the lead and the backing singers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from models.core import registry
from models.core.types import Clip, Part, Stems, Voices
from models.separation.checkpoints import load, network_modules, separator_digest, separator_path
from models.separation.lead_backing import multi_voice_activity, reassign_solo_backing
from models.separation.separate import split
from models.separation.settings import PartingSettings, SplitSettings
from models.separation.stems import check_sources, four_stems, parts_of_other
from tasks.cache.caching import stage
from tasks.cache.store import BLOCK_FRAMES, Store
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import stage_watch


def _separator(separator: str, **inputs: Any) -> str:
    return separator_digest(separator)


def _separator_network(separator: str, **inputs: Any) -> tuple[str, ...]:
    return network_modules(separator_path(separator))


@stage("torch", "demucs", "numpy", depends=_separator, loads=_separator_network, resident=True)
def separate(audio: Clip, separator: str, settings: SplitSettings, seed: int, device: str) -> Stems:
    """Take the song apart into drums, bass, other and vocals with a Demucs network."""
    network = NETWORKS.kept(load, separator_path(separator), device)
    sources = cast(Sequence[str], network.sources)
    check_sources(separator, sources)
    blocks = split(Store().source(audio), network, settings, seed, device, stage_watch("separate"))
    names = parts_of_other(sources)
    names = names if len(names) > 1 else []
    rows = (np.concatenate([four_stems(sources, block), block[[sources.index(n) for n in names]]]) for block in blocks)
    drums, bass, other, vocals, *rest = Store().put_together(rows, audio.sample_rate)
    return Stems(drums, bass, other, vocals, tuple(Part(name, clip) for name, clip in zip(names, rest, strict=True)))


ALL_LEAD = "none"
"""The splitter that leaves all vocals to the lead."""


def _splitter(splitter: str, **inputs: Any) -> str:
    if splitter == ALL_LEAD:
        return ""
    return registry.file_digest(_splitter_path(splitter))


def _splitter_path(splitter: str) -> Path:
    return registry.verified(registry.find("vocal_splitter", splitter))


def _splitter_network(splitter: str, **inputs: Any) -> tuple[str, ...]:
    return () if splitter == ALL_LEAD else network_modules(_splitter_path(splitter))


@stage("torch", "demucs", "numpy", "scipy", "soxr", depends=_splitter, loads=_splitter_network, resident=True)
def part_voices(vocals: Clip, splitter: str, settings: PartingSettings, seed: int, device: str) -> Voices:
    """Take the vocals apart into lead, backing and room; where one voice sings alone everything stays lead."""
    if splitter == ALL_LEAD:
        silence = _silence_like(vocals)
        return Voices(vocals, silence, silence)
    network = NETWORKS.kept(load, _splitter_path(splitter), device)
    source, watch = Store().source(vocals), stage_watch("part_voices")
    believed = multi_voice_activity(source, settings, watch.span(0.0, 0.1))
    blocks = split(source, network, settings, seed, device, watch.span(0.1, 1.0))
    parts = reassign_solo_backing(blocks, believed, vocals.sample_rate)
    return Voices(*Store().put_together(parts, vocals.sample_rate))


def _silence_like(clip: Clip) -> Clip:
    blocks = (
        np.zeros((clip.channels, min(BLOCK_FRAMES, clip.frames - start)), np.float32)
        for start in range(0, clip.frames, BLOCK_FRAMES)
    )
    return Store().put(blocks, clip.sample_rate)
