"""Vocals are converted to another voice."""

from typing import Any

from models.conversion.convert import convert as converted
from models.conversion.convert import engine_module, load_voice
from models.conversion.settings import ConvertSettings
from models.conversion.voices.registry import consent, consent_digest, encoder_digest, find_voice, voice_digest
from models.core.types import Clip
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.engine.networks import NETWORKS
from tasks.runs.progress import stage_watch


def _voice(voice: str, **inputs: Any) -> list[str]:
    folder = find_voice(voice)
    return [voice_digest(folder), consent_digest(folder), encoder_digest(folder)]


def _engine(voice: str, **inputs: Any) -> tuple[str, ...]:
    return (engine_module(find_voice(voice)),)


@stage(
    "torch",
    "so-vits-svc-fork",
    "transformers",
    "pyworld-prebuilt",
    "numpy",
    "scipy",
    "soxr",
    depends=_voice,
    loads=_engine,
    resident=True,
)
def convert(vocals: Clip, voice: str, settings: ConvertSettings, seed: int, device: str) -> Clip:
    """Sing the vocals with another voice, note for note; refuses a voice without its record of consent."""
    consent(find_voice(voice))  # a voice that is loaded already may have been revoked since
    singer = NETWORKS.kept(load_voice, find_voice(voice), device)
    blocks = converted(Store().source(vocals), singer, settings, seed, device, stage_watch("convert"))
    return Store().put(blocks, vocals.sample_rate)
