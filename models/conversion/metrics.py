"""Who it sounds like, and how natural it sounds: two published meters, on mono audio of any rate.

Likeness is the cosine of Resemblyzer's speaker embeddings (Wan et al., "Generalized end-to-end loss for speaker
verification", 2018), naturalness DNSMOS P.835 (Reddy et al., 2022), both by their packages, whose networks are inside.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from models.conversion.phrases import LEVEL_HOP_S, level_contour, sounding
from models.core.types import Source, Wave

Floats = NDArray[np.float32]

_RATE = 16_000
_LEVEL_DBFS = -27.0
_PIECE_S = 60
"""The speaker network hears so much at once: what it keeps of a minute is 40 MB."""


@dataclass(frozen=True)
class Opinion:
    """DNSMOS's means on a scale of 1 to 5: of the voice, of what is behind it, and overall."""

    voice: float
    background: float
    overall: float


def embedding(audio: Source) -> Floats:
    """Whose voice it is, as a unit vector; zeros where nothing sounds. Shape: (256,)."""
    heard = _heard(audio)
    if len(heard) < _RATE // 4:
        return np.zeros(256, np.float32)
    pieces = np.array_split(heard, -(-len(heard) // (_PIECE_S * _RATE)))
    partial = [_speaker_network().embed_utterance(piece, return_partials=True)[1] for piece in pieces]
    mean = np.concatenate(partial).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def likeness(one: Floats, other: Floats) -> float:
    """The cosine of two embeddings: about 0.8 and above within a speaker, 0.6 and below between two."""
    return float(np.dot(one, other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9))


def opinion(audio: Source) -> Opinion:
    """What listeners would say of it, by DNSMOS; all 1 where nothing sounds."""
    from speechmos import dnsmos

    heard = _heard(audio)
    if len(heard) < _RATE // 4:
        return Opinion(1.0, 1.0, 1.0)
    said = dnsmos.run(np.clip(heard, -1, 1), _RATE)
    return Opinion(float(said["sig_mos"]), float(said["bak_mos"]), float(said["ovrl_mos"]))


def _heard(audio: Source) -> Floats:
    """What sounds, end to end, at one level and rate. Shape: (n,)."""
    level = level_contour(audio)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sounding(level, 40.0, -60.0), [False]]).astype(np.int8)))
    bounds = np.round(edges * LEVEL_HOP_S * audio.sample_rate).astype(int)
    parts = [audio.read(low, high).mean(axis=0) for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
    joined = np.concatenate([np.zeros(0, np.float32), *parts])
    loud = float(np.sqrt(np.mean(joined.astype(np.float64) ** 2))) if len(joined) else 0.0
    scaled = joined * np.float32(10 ** (_LEVEL_DBFS / 20) / max(loud, 1e-9))
    return np.asarray(soxr.resample(scaled, audio.sample_rate, _RATE), np.float32)


@cache
def _speaker_network() -> Any:
    from resemblyzer import VoiceEncoder

    return VoiceEncoder("cpu", verbose=False)


def joint_embedding(pieces: list[Wave]) -> Floats:
    """The unit vector nearest to those of all pieces. Shape: (256,)."""
    mean = np.mean([embedding(piece) for piece in pieces], axis=0) if pieces else np.zeros(256)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)
