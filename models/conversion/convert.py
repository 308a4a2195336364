"""Singing in another voice: what is sung and when stays, who sings changes.

The lead is cut into phrases where it is quiet, each is sung by the voice on the source's pitch, shifted by one constant
interval, and gets back the source's loudness contour. Silence and residue stay silent. It streams: a phrase at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from models.analysis.f0 import F0, track_f0
from models.analysis.settings import PitchSettings
from models.conversion.ltas_eq import Timbre
from models.conversion.phrases import LEVEL_HOP_S, Phrase, level_contour, phrases, sounding, with_contour
from models.conversion.voices.registry import Card, Range, card, consent
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.core.validation import check_ranges

ENGINES = {
    "world": ("models.conversion.engines.world", "WorldVoice"),
    "so-vits-svc": ("models.conversion.engines.so_vits", "SovitsVoice"),
    "knn": ("models.conversion.engines.knn", "KnnVoice"),
}
"""Module and class of each engine, by the name that a voice's card gives it; only the engine wanted is imported."""

_CONTEXT_S = 0.25
_FADE_S = 0.008
_SILENCE_BLOCK = 1 << 18


@dataclass(frozen=True)
class RevoiceSettings:
    """How the voice sings.

    `key_shift` in semitones, or None to move the song by the interval that suits the voice's range; `noise_scale` how
    much the network varies; `timbre` how far (0..1) the voice's average spectrum is brought to that of its recordings,
    where its card has it; `gate_db` below the loud parts is residue and is not sung; `phrase_s` the longest phrase.
    """

    key_shift: int | None = None
    noise_scale: float = 0.3
    timbre: float = 0.5
    gate_db: float = 45.0
    silence_dbfs: float = -60.0
    phrase_s: float = 15.0
    pitch: PitchSettings = field(default_factory=PitchSettings)

    def __post_init__(self) -> None:
        check_ranges(
            self, noise_scale=(0, 2), timbre=(0, 1), gate_db=(0, 120), silence_dbfs=(-200, 0), phrase_s=(0.5, 60)
        )
        if self.key_shift is not None:
            check_ranges(self, key_shift=(-60, 60))


class Singer(Protocol):
    """What an engine offers: phrases at its own `sample_rate`, with a pitch value each `hop` samples."""

    sample_rate: int
    hop: int

    def sing(
        self,
        audio: NDArray[np.float32],
        f0_hz: NDArray[np.float32],
        sung_hz: NDArray[np.float32],
        noise_scale: float,
        seed: int,
    ) -> NDArray[np.float32]:
        """Sing mono `audio`, whose pitch is `f0_hz`, on the pitch `sung_hz`.

        Shapes: (n,), (frames,), (frames,) -> (n,). Frame i is centred at (i + 0.5) * `hop` samples; pitches are in
        hertz, 0 where unvoiced.
        """
        ...


@dataclass(frozen=True)
class Voice:
    """A voice that was allowed and is loaded: its card and what sings."""

    card: Card
    singer: Singer


def load_voice(folder: Path, device: str) -> Voice:
    """Load a voice onto a device ("cpu", "cuda"); raises `BadInput` without its consent or with wrong weights."""
    consent(folder)
    described = card(folder)
    return Voice(described, _engine(folder, described).load(folder, described, device))


def engine_module(folder: Path) -> str:
    """The module of the engine that a voice names; raises `BadInput` for one that is not known."""
    described = card(folder)
    if described.engine not in ENGINES:
        raise BadInput(f"The voice {folder.name!r} wants an engine that is not known: {described.engine!r}.")
    return ENGINES[described.engine][0]


def _engine(folder: Path, described: Card) -> Any:
    return getattr(import_module(engine_module(folder)), ENGINES[described.engine][1])


_FAIR = 0.2
"""The part of what a voice sings most that makes a semitone a usual one of its."""
_MOST = 0.75
"""The part of a song that a voice must be at home on for the song to stay in its key."""


def auto_key(f0: F0, voice: Voice) -> int:
    """The shift in semitones that brings a song's pitch best into the voice's range: octaves if one will do."""
    return key_for(f0, voice.card.range)


def key_for(f0: F0, reach: Range) -> int:
    """`auto_key` for a range: none where it covers most of the song, else the octave that covers it best.

    Another interval only where no octave covers half.
    """
    sung = f0.hz[f0.hz > 0]
    if not len(sung) or not reach.seconds:
        return 0
    pitch = 69 + 12 * np.log2(sung / 440)
    comfort = _comfort(reach)

    def covered(shift: int) -> float:
        place = np.round(pitch + shift).astype(int) - reach.lowest
        inside = (place >= 0) & (place < len(comfort))
        return float(np.where(inside, comfort[np.clip(place, 0, len(comfort) - 1)], 0).mean()) - 0.01 * abs(shift)

    if covered(0) >= _MOST:
        return 0
    octave = max((0, -12, 12, -24, 24), key=covered)
    if covered(octave) >= 0.5:
        return octave
    return max(range(-24, 25), key=covered)


def _comfort(reach: Range) -> NDArray[np.float64]:
    """How at home the voice is on each semitone of its range, 0 to 1: fully wherever it was heard for a fair time."""
    heard = np.convolve(reach.seconds, [0.25, 0.5, 0.25], mode="same")
    return np.asarray(np.minimum(heard / max(_FAIR * np.percentile(heard, 90), 1e-9), 1.0))


def notes_outside(f0: F0, reach: Range, key_shift: int) -> dict[int, float]:
    """The MIDI pitches, after the shift, that the voice was never heard on, each with its seconds in the song."""
    sung = f0.hz[f0.hz > 0]
    pitch = np.round(69 + 12 * np.log2(sung / 440)).astype(int) + key_shift
    place = pitch - reach.lowest
    known = np.append(np.asarray(reach.seconds), 0.0)
    unheard = known[np.where((place >= 0) & (place < len(known)), place, -1)] <= 0
    found, counts = np.unique(pitch[unheard], return_counts=True)
    return {int(p): float(n) * f0.hop_s for p, n in zip(found, counts, strict=True)}


def convert(
    source: Source, voice: Voice, settings: RevoiceSettings, seed: int, device: str, watch: Watch = UNWATCHED
) -> Iterator[Samples]:
    """Sing `source` in a voice. Yields mono blocks (1, n) at its rate that add up to exactly its frames.

    `device` is where the voice was loaded. Raises `BadInput` when the source holds samples that are no numbers.
    """
    level = level_contour(source, watch.span(0.0, 0.05))
    if not np.isfinite(level).all():
        raise BadInput("The vocals cannot be sung: they hold samples that are not numbers (NaN or infinite).")
    f0 = track_f0(source, settings.pitch, watch.span(0.05, 0.2))
    shift = auto_key(f0, voice) if settings.key_shift is None else settings.key_shift
    found = phrases(level, sounding(level, settings.gate_db, settings.silence_dbfs), settings.phrase_s)
    heard = watch.span(0.2, 1.0)
    wanted = np.asarray(voice.card.spectrum, np.float64)
    timbre = Timbre(wanted, voice.singer.sample_rate, settings.timbre) if len(wanted) and settings.timbre else None
    done, tail = 0, np.zeros(0, np.float32)  # frames yielded, and the faded end of a phrase that goes on
    for index, phrase in enumerate(found):
        heard.at(index / len(found))
        start = round(phrase.start * LEVEL_HOP_S * source.sample_rate)
        yield from _silence(start - done)
        sung, after = _sing_phrase(source, voice, f0, shift, phrase, settings, seed + index, timbre)
        sung[: len(tail)] += tail
        tail = after
        done = start + len(sung)
        yield sung[None]
    yield from _silence(source.frames - done)
    heard.at(1.0)


def _silence(frames: int) -> Iterator[Samples]:
    for start in range(0, frames, _SILENCE_BLOCK):
        yield np.zeros((1, min(_SILENCE_BLOCK, frames - start)), np.float32)


def _sing_phrase(
    source: Source,
    voice: Voice,
    f0: F0,
    shift: int,
    phrase: Phrase,
    settings: RevoiceSettings,
    seed: int,
    timbre: Timbre | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One phrase sung, faded in and out, and where it is joined to the next, its fading end past the phrase."""
    rate = source.sample_rate
    start = round(phrase.start * LEVEL_HOP_S * rate)
    stop = min(round(phrase.stop * LEVEL_HOP_S * rate), source.frames)
    fade = max(int(_FADE_S * rate), 1)
    context = int(_CONTEXT_S * rate)
    low = start - context
    wanted = source.read(low, stop + context).mean(axis=0)
    sung = _sung(voice, wanted, rate, f0, low / rate, shift, settings.noise_scale, seed, timbre)
    shaped = with_contour(sung, wanted, rate)[context:]
    length = stop - start
    rise = np.linspace(0, 1, fade, dtype=np.float32)
    body = shaped[:length].copy()
    body[:fade] *= rise[: len(body)]
    if phrase.joined:
        return body, shaped[length : length + fade] * rise[::-1]
    body[-fade:] *= rise[::-1][-len(body) :]
    return body, np.zeros(0, np.float32)


def _sung(
    voice: Voice,
    audio: NDArray[np.float32],
    rate: int,
    f0: F0,
    start_s: float,
    shift: int,
    noise_scale: float,
    seed: int,
    timbre: Timbre | None,
) -> NDArray[np.float32]:
    """Mono audio that starts at `start_s` of the song, through the voice at the voice's own rate and back."""
    singer = voice.singer
    heard = np.asarray(soxr.resample(audio, rate, singer.sample_rate), np.float32)
    frames = int(np.ceil(len(heard) / singer.hop))
    times = start_s + (np.arange(frames) + 0.5) * singer.hop / singer.sample_rate
    now = f0.at(times)
    wanted = now * np.float32(2 ** (shift / 12))
    sung = singer.sing(heard, now, wanted, noise_scale, seed)
    sung = timbre.on(sung) if timbre else sung
    back = np.asarray(soxr.resample(sung, singer.sample_rate, rate), np.float32)
    return np.pad(back, (0, max(len(audio) - len(back), 0)))[: len(audio)]
