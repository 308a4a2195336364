"""Voice conversion evaluated on sung clips, beside the source and the fallback engines: `remix eval voice`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from models.conversion.content import load_encoder
from models.conversion.convert import load_voice
from models.conversion.evaluation.voice import (
    EvaluationClip,
    PhoneClassifier,
    VoiceMetrics,
    example_clip,
    means,
    measure,
)
from models.conversion.settings import ConvertSettings
from models.conversion.voices.registry import card, find_voice
from models.core import registry
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Wave

BASELINES = ("source", "world", "knn")
"""The rows beside the voice: the clip as it is, and the voices that need no training."""
ENCODER = "hubert-small"
SUNG = (".wav", ".flac", ".ogg")


def evaluate_voice(
    voice: str,
    clips: Path | None = None,
    seconds: float = 14.0,
    baselines: Sequence[str] = BASELINES,
    settings: ConvertSettings | None = None,
    watch: Watch = UNWATCHED,
) -> dict[str, Any]:
    """Measure a voice and the baselines, all against that voice's likeness.

    `clips` is a folder of singing or speech without accompaniment, of which each file's loudest `seconds` are taken;
    without it the lead of three of the project's own songs is sung. Returns the clips' names, and for each row its mean
    figures (mean, low, high of a 95 % interval over the clips) and the figures of each clip.
    """
    folder = registry.verified(registry.find("content_encoder", ENCODER)).parent
    ear = PhoneClassifier.load(folder, load_encoder(folder, "cpu"))
    known = np.asarray(card(find_voice(voice)).speaker_embedding, np.float32)
    sung = [example_clip(seconds, seed) for seed in range(3)] if clips is None else clips_of(clips, seconds)
    rows: dict[str, list[VoiceMetrics]] = {}
    names = [*(name for name in baselines if name != voice), voice]
    for place, name in enumerate(names):
        loaded = None if name == "source" else load_voice(find_voice(name), "cpu")
        for index, clip in enumerate(sung):
            watch.at((place + index / len(sung)) / len(names))
            target = known if len(known) else None
            figures = measure(clip, loaded, target, ear, settings or ConvertSettings(), "cpu")
            rows.setdefault(name, []).append(figures)
    watch.at(1.0)
    return {
        "clips": [clip.name for clip in sung],
        "means": {name: means(of_voice) for name, of_voice in rows.items()},
        "each": {name: [asdict(figures) for figures in of_voice] for name, of_voice in rows.items()},
    }


def clips_of(folder: Path, seconds: float) -> list[EvaluationClip]:
    """The loudest `seconds` of each audio file below a folder; raises `BadInput` where there is none."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUNG) if folder.is_dir() else [folder]
    clips = []
    for path in paths:
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise BadInput(f"{path} cannot be read: {error}.") from error
        clips.append(EvaluationClip(path.stem, loudest(Wave(np.ascontiguousarray(samples.T), rate), seconds)))
    if not clips:
        raise BadInput(f"{folder} holds no clips ({', '.join(SUNG)}).")
    return clips


def loudest(audio: Wave, seconds: float) -> Wave:
    """The stretch of so many seconds that holds most energy, to the tenth of a second."""
    step, length = audio.sample_rate // 10, round(seconds * audio.sample_rate)
    if audio.frames <= length:
        return audio
    energy = np.concatenate([[0.0], np.cumsum(audio.samples.astype(np.float64).mean(axis=0) ** 2)])
    starts = np.arange(0, audio.frames - length + 1, step)
    start = int(starts[np.argmax(energy[starts + length] - energy[starts])])
    return Wave(audio.samples[:, start : start + length], audio.sample_rate)
