"""A score becomes sound."""

from pathlib import Path
from typing import Any

from models.core.registry import file_digest
from models.core.types import Clip, Score
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render as played
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.runs.progress import stage_watch

SAMPLE_RATE = 44_100


def _soundfont(settings: RenderSettings, **inputs: Any) -> str:
    return file_digest(Path(settings.soundfont)) if settings.soundfont else ""


@stage("tinysoundfont", "pretty_midi", "numpy", depends=_soundfont)
def render(score: Score, frames: int, settings: RenderSettings) -> Clip:
    """Play a score on the instruments of a SoundFont."""
    return Store().put(played(score, frames, SAMPLE_RATE, settings, stage_watch("render")), SAMPLE_RATE)
