"""Anybody's recordings made into material to train a voice on: cut at pauses, sorted out, at one rate and loudness.

What is no use is left out, and it is said how much and why: silence, pieces too short, clipping, music or noise behind
the voice, and other speakers than the one who speaks most.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import istft, stft

from models.conversion.metrics import embedding, likeness, opinion
from models.conversion.phrases import LEVEL_HOP_S, level_contour, phrases, sounding
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Wave

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SiftSettings:
    """What is kept. Pieces last `shortest_s` to `longest_s` and are cut at pauses of `pause_s`.

    `most_clipped` is the share of samples at the ceiling; `least_background` and `least_voice` are DNSMOS's opinions of
    what is behind the voice and of the voice; `least_likeness` is to the speaker of most pieces; `loudness_dbfs` is the
    root mean square that each piece gets.
    """

    shortest_s: float = 1.2
    longest_s: float = 10.0
    pause_s: float = 0.35
    gate_db: float = 40.0
    most_clipped: float = 0.002
    least_background: float = 2.0
    least_voice: float = 2.0
    least_likeness: float = 0.68
    loudness_dbfs: float = -24.0
    denoise: bool = False


DEFAULT = SiftSettings()


@dataclass(frozen=True)
class Piece:
    """A part of a recording that begins at `start_s`; `audio` is mono."""

    name: str
    start_s: float
    audio: Wave


@dataclass(frozen=True)
class Sifted:
    """The pieces kept, whose voice they are (an embedding), and the seconds left out for each reason.

    `unusable` says of each recording that could not be used at all why.
    """

    pieces: tuple[Piece, ...]
    speaker: Floats
    dropped_s: dict[str, float]
    unusable: dict[str, str] = field(default_factory=dict)

    @property
    def kept_s(self) -> float:
        """The seconds kept."""
        return sum(piece.audio.duration_s for piece in self.pieces)


def sift(
    recordings: Sequence[tuple[str, Callable[[], Wave]]],
    rate: int,
    settings: SiftSettings = DEFAULT,
    watch: Watch = UNWATCHED,
) -> Sifted:
    """Pieces of named recordings that one voice can be trained on, at `rate` hertz and one loudness.

    Each recording is read when its turn comes; one whose reading raises `BadInput`, or that holds what are no numbers,
    is left out.
    """
    dropped: dict[str, float] = {}
    unusable: dict[str, str] = {}

    def drop(reason: str, seconds: float) -> None:
        if seconds > 0:
            dropped[reason] = dropped.get(reason, 0.0) + seconds

    kept: list[tuple[Piece, Floats]] = []
    for index, (name, read) in enumerate(recordings):
        watch.at(0.95 * index / len(recordings))
        try:
            recording = read()
        except BadInput as error:
            unusable[name] = str(error)
            continue
        if not np.isfinite(recording.samples).all():
            unusable[name] = f"{name} holds samples that are not numbers."
            continue
        mono = Wave(recording.samples.mean(axis=0, keepdims=True), recording.sample_rate)
        mono = denoised(mono) if settings.denoise else mono
        pieces = list(cut(name, mono, settings))
        drop("silence", mono.duration_s - sum(piece.audio.duration_s for piece in pieces))
        for piece in pieces:
            fault = _fault(piece.audio, settings)
            if fault:
                drop(fault, piece.audio.duration_s)
            else:
                kept.append((piece, embedding(piece.audio)))
    speaker = _main_speaker([vector for _, vector in kept])
    own = [piece for piece, vector in kept if likeness(vector, speaker) >= settings.least_likeness]
    others = sum(piece.audio.duration_s for piece, _ in kept) - sum(piece.audio.duration_s for piece in own)
    drop("another speaker", others)
    ready = tuple(Piece(p.name, p.start_s, levelled(p.audio, rate, settings.loudness_dbfs)) for p in own)
    watch.at(1.0)
    return Sifted(ready, speaker, dropped, unusable)


def cut(name: str, mono: Wave, settings: SiftSettings = DEFAULT) -> Iterator[Piece]:
    """The sounding parts of a recording, those close together as one, none longer than allowed."""
    level = level_contour(mono)
    sounds = sounding(level, settings.gate_db, -60.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], sounds, [True]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):  # the pauses
        if (stop - start) * LEVEL_HOP_S < settings.pause_s and start > 0 and stop < len(sounds):
            sounds[start:stop] = True
    for phrase in phrases(level, sounds, settings.longest_s):
        low, high = (round(edge * LEVEL_HOP_S * mono.sample_rate) for edge in (phrase.start, phrase.stop))
        yield Piece(name, low / mono.sample_rate, Wave(mono.samples[:, low:high], mono.sample_rate))


def _fault(audio: Wave, settings: SiftSettings) -> str:
    """Why a piece is of no use, or nothing."""
    if audio.duration_s < settings.shortest_s:
        return "too short"
    if clipped_share(audio.samples[0]) > settings.most_clipped:
        return "clipping"
    said = opinion(audio)
    if said.background < settings.least_background or said.voice < settings.least_voice:
        return "music or noise"
    return ""


def clipped_share(samples: Floats) -> float:
    """The share of samples that stand still, two and more in a row, at the loudest level there is."""
    ceiling = float(np.abs(samples).max(initial=0.0))
    if ceiling < 0.25:
        return 0.0
    flat = np.abs(samples) > 0.995 * ceiling
    still = flat[1:] & flat[:-1] & (samples[1:] * samples[:-1] > 0)
    return float(still.mean()) if len(still) else 0.0


def _main_speaker(vectors: Sequence[Floats]) -> Floats:
    """The embedding of the speaker of most pieces: the mean of those near the piece that is most like the others."""
    if not vectors:
        return np.zeros(256, np.float32)
    stacked = np.stack(vectors)
    alike = stacked @ stacked.T
    centre = int(np.argmax(np.median(alike, axis=1)))
    near = stacked[alike[centre] >= min(0.7, float(np.median(alike[centre])))]
    mean = near.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def levelled(audio: Wave, rate: int, loudness_dbfs: float) -> Wave:
    """Audio at another rate and root mean square, its peak at most 0.95."""
    samples = np.asarray(soxr.resample(audio.samples[0], audio.sample_rate, rate), np.float32)
    loud, peak = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))), float(np.abs(samples).max(initial=0.0))
    gain = min(10 ** (loudness_dbfs / 20) / max(loud, 1e-9), 0.95 / max(peak, 1e-9))
    return Wave((samples * np.float32(gain))[None], rate)


def denoised(mono: Wave, most_db: float = 18.0) -> Wave:
    """A recording with its steady noise taken down: a Wiener gain against the spectrum of its quietest tenth."""
    size = int(0.046 * mono.sample_rate) // 2 * 2
    if mono.frames < 4 * size:
        return mono
    _, _, spectrum = stft(mono.samples[0], mono.sample_rate, nperseg=size, noverlap=size * 3 // 4)
    power = uniform_filter1d(np.abs(spectrum) ** 2, 5, axis=1)
    level = power.sum(axis=0)
    noise = power[:, level <= np.percentile(level, 10)].mean(axis=1, keepdims=True)
    gain = np.maximum(1 - 2 * noise / np.maximum(power, 1e-20), 10 ** (-most_db / 20))
    _, samples = istft(spectrum * gain, mono.sample_rate, nperseg=size, noverlap=size * 3 // 4)
    clean = np.asarray(samples[: mono.frames], np.float32)
    return Wave(np.pad(clean, (0, mono.frames - len(clean)))[None], mono.sample_rate)
