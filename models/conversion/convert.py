"""Singing voice conversion: the lead's words, melody and dynamics in another voice, phrase by phrase.

The lead is segmented into phrases at silence and low level. An engine resynthesises each on the source's F0, shifted by
one constant interval; the result gets the source's loudness contour. Silence and residue stay silent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr

from models.analysis.f0 import F0, track_f0
from models.conversion.key_shift import key_shift_for
from models.conversion.ltas_eq import LtasEqualiser
from models.conversion.phrases import LEVEL_HOP_S, Phrase, active_frames, level_contour, match_loudness, split_phrases
from models.conversion.settings import ConvertSettings
from models.conversion.voices.registry import Card, card, consent
from models.core.dtypes import FloatArray
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source

ENGINES = {
    "world": ("models.conversion.engines.world", "WorldVoice"),
    "so-vits-svc": ("models.conversion.engines.so_vits", "SovitsVoice"),
    "knn": ("models.conversion.engines.knn", "KnnVoice"),
}
"""Module and class of each engine, by its name in a voice's card; only the engine used is imported."""

_CONTEXT_S = 0.25
_FADE_S = 0.008
_SILENCE_BLOCK = 1 << 18


class VoiceEngine(Protocol):
    """Resynthesises phrases at its own `sample_rate`, with an F0 value each `hop` samples."""

    sample_rate: int
    hop: int

    def resynthesise(
        self, audio: FloatArray, f0_hz: FloatArray, target_hz: FloatArray, noise_scale: float, seed: int
    ) -> FloatArray:
        """Mono `audio`, whose F0 is `f0_hz`, in the voice and on the F0 `target_hz`.

        Shapes: (n,), (frames,), (frames,) -> (n,). Frame i is centred at (i + 0.5) * `hop` samples; F0 is in hertz, 0
        where unvoiced.
        """
        ...


@dataclass(frozen=True)
class Voice:
    """A loaded voice whose consent holds: its card and its engine."""

    card: Card
    engine: VoiceEngine


def load_voice(folder: Path, device: str) -> Voice:
    """Load a voice onto a device ("cpu", "cuda"); raises `BadInput` without its consent or with wrong weights."""
    consent(folder)
    voice_card = card(folder)
    engine: Any = getattr(import_module(engine_module(folder)), ENGINES[voice_card.engine][1])
    return Voice(voice_card, engine.load(folder, voice_card, device))


def engine_module(folder: Path) -> str:
    """The module of a voice's engine; raises `BadInput` for an unknown one."""
    engine = card(folder).engine
    if engine not in ENGINES:
        raise BadInput(f"The voice {folder.name!r} wants an engine that is not known: {engine!r}.")
    return ENGINES[engine][0]


def auto_key_shift(f0: F0, voice: Voice) -> int:
    """The shift in semitones that brings a melody into the voice's range."""
    return key_shift_for(f0, voice.card.range)


@dataclass(frozen=True)
class _Conversion:
    """What all phrases of a song share: `f0` of the whole song, and the equaliser, which adapts phrase by phrase."""

    source: Source
    voice: Voice
    f0: F0
    key_shift: int
    noise_scale: float
    equaliser: LtasEqualiser | None


def convert(
    source: Source, voice: Voice, settings: ConvertSettings, seed: int, device: str, watch: Watch = UNWATCHED
) -> Iterator[Samples]:
    """Convert `source` to a voice. Yields mono blocks (1, n) at its rate that add up to exactly its frames.

    `device` is where the voice was loaded. Raises `BadInput` for samples that are not finite.
    """
    level = level_contour(source, watch.span(0.0, 0.05))
    if not np.isfinite(level).all():
        raise BadInput("The vocals cannot be sung: they hold samples that are not numbers (NaN or infinite).")
    f0 = track_f0(source, settings.pitch, watch.span(0.05, 0.2))
    shift = auto_key_shift(f0, voice) if settings.key_shift is None else settings.key_shift
    phrases = split_phrases(level, active_frames(level, settings.gate_db, settings.silence_dbfs), settings.phrase_s)
    conversion = _Conversion(source, voice, f0, shift, settings.noise_scale, _equaliser(voice, settings))
    watch = watch.span(0.2, 1.0)
    done, tail = 0, np.zeros(0, np.float32)  # frames yielded, and the fade-out of a phrase that the next one overlaps
    for index, phrase in enumerate(phrases):
        watch.at(index / len(phrases))
        start = round(phrase.start * LEVEL_HOP_S * source.sample_rate)
        yield from _silence(start - done)
        converted, fade_out = _convert_phrase(conversion, phrase, seed + index)
        converted[: len(tail)] += tail
        tail = fade_out
        done = start + len(converted)
        yield converted[None]
    yield from _silence(source.frames - done)
    watch.at(1.0)


def _equaliser(voice: Voice, settings: ConvertSettings) -> LtasEqualiser | None:
    target_db = np.asarray(voice.card.ltas_db, np.float64)
    if not len(target_db) or not settings.timbre:
        return None
    return LtasEqualiser(target_db, voice.engine.sample_rate, settings.timbre)


def _silence(frames: int) -> Iterator[Samples]:
    for start in range(0, frames, _SILENCE_BLOCK):
        yield np.zeros((1, min(_SILENCE_BLOCK, frames - start)), np.float32)


def _convert_phrase(conversion: _Conversion, phrase: Phrase, seed: int) -> tuple[FloatArray, FloatArray]:
    """A phrase converted and faded in and out; if the next phrase joins it, its fade-out lies past its end, apart."""
    source, rate = conversion.source, conversion.source.sample_rate
    start = round(phrase.start * LEVEL_HOP_S * rate)
    stop = min(round(phrase.stop * LEVEL_HOP_S * rate), source.frames)
    fade = max(int(_FADE_S * rate), 1)
    context = int(_CONTEXT_S * rate)
    low = start - context
    audio = source.read(low, stop + context).mean(axis=0)
    resynthesised = _resynthesise(conversion, audio, low / rate, seed)
    shaped = match_loudness(resynthesised, audio, rate)[context:]
    length = stop - start
    rise = np.linspace(0, 1, fade, dtype=np.float32)
    body = shaped[:length].copy()
    body[:fade] *= rise[: len(body)]
    if phrase.joined:
        return body, shaped[length : length + fade] * rise[::-1]
    body[-fade:] *= rise[::-1][-len(body) :]
    return body, np.zeros(0, np.float32)


def _resynthesise(conversion: _Conversion, audio: FloatArray, start_s: float, seed: int) -> FloatArray:
    """Mono audio that starts at `start_s` of the song, resynthesised at the engine's rate and resampled back."""
    engine, rate = conversion.voice.engine, conversion.source.sample_rate
    resampled = np.asarray(soxr.resample(audio, rate, engine.sample_rate), np.float32)
    frames = int(np.ceil(len(resampled) / engine.hop))
    times = start_s + (np.arange(frames) + 0.5) * engine.hop / engine.sample_rate
    f0_hz = conversion.f0.at(times)
    target_hz = f0_hz * np.float32(2 ** (conversion.key_shift / 12))
    output = engine.resynthesise(resampled, f0_hz, target_hz, conversion.noise_scale, seed)
    output = conversion.equaliser.apply(output) if conversion.equaliser else output
    back = np.asarray(soxr.resample(output, engine.sample_rate, rate), np.float32)
    return np.pad(back, (0, max(len(audio) - len(back), 0)))[: len(audio)]
