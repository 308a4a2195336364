"""Vocals into lead and backing."""

from pathlib import Path
from typing import Any

import numpy as np

from models.core import registry
from models.core.types import Clip, Voices
from models.separation.checkpoints import load, network_modules
from models.separation.lead_backing import multi_voice_activity, reassign_solo_backing
from models.separation.separate import split
from models.separation.settings import ALL_LEAD, SplitVocalsSettings
from tasks.cache.caching import stage
from tasks.cache.store import BLOCK_FRAMES, Store
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import stage_watch


def _splitter(splitter: str, **inputs: Any) -> str:
    if splitter == ALL_LEAD:
        return ""
    return registry.file_digest(_splitter_path(splitter))


def _splitter_path(splitter: str) -> Path:
    return registry.verified(registry.find("vocal_splitter", splitter))


def _splitter_network(splitter: str, **inputs: Any) -> tuple[str, ...]:
    return () if splitter == ALL_LEAD else network_modules(_splitter_path(splitter))


@stage("torch", "demucs", "numpy", "scipy", "soxr", depends=_splitter, loads=_splitter_network, resident=True)
def split_vocals(vocals: Clip, splitter: str, settings: SplitVocalsSettings, seed: int, device: str) -> Voices:
    """Separate lead vocals, backing vocals and room; where one voice sings alone everything stays with the lead."""
    if splitter == ALL_LEAD:
        silence = _silence_like(vocals)
        return Voices(vocals, silence, silence)
    network = NETWORKS.kept(load, _splitter_path(splitter), device)
    source, watch = Store().source(vocals), stage_watch("split_vocals")
    multi_voice = multi_voice_activity(source, settings, watch.span(0.0, 0.1))
    blocks = split(source, network, settings, seed, device, watch.span(0.1, 1.0))
    parts = reassign_solo_backing(blocks, multi_voice, vocals.sample_rate)
    return Voices(*Store().put_together(parts, vocals.sample_rate))


def _silence_like(clip: Clip) -> Clip:
    blocks = (
        np.zeros((clip.channels, min(BLOCK_FRAMES, clip.frames - start)), np.float32)
        for start in range(0, clip.frames, BLOCK_FRAMES)
    )
    return Store().put(blocks, clip.sample_rate)
