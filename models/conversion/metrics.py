"""Reference-free voice metrics on mono audio of any rate: speaker similarity and DNSMOS naturalness.

Similarity is the cosine of Resemblyzer's speaker embeddings (Wan et al., "Generalized end-to-end loss for speaker
verification", 2018), naturalness is DNSMOS P.835 (Reddy et al., 2022); both packages contain their networks.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import soxr

from models.conversion.phrases import LEVEL_HOP_S, active_frames, level_contour
from models.core.dtypes import FloatArray
from models.core.types import Source, Wave

_RATE = 16_000
_LEVEL_DBFS = -27.0
_CHUNK_S = 60
"""Seconds embedded at once; the network takes 40 MB a minute."""


@dataclass(frozen=True)
class DnsmosScores:
    """DNSMOS P.835's mean opinion scores, 1 to 5: of the speech signal, of the background, and overall."""

    signal: float
    background: float
    overall: float


def speaker_embedding(audio: Source) -> FloatArray:
    """Resemblyzer's speaker embedding, of unit length; zeros for silence. Shape: (256,)."""
    active = _active_audio(audio)
    if len(active) < _RATE // 4:
        return np.zeros(256, np.float32)
    chunks = np.array_split(active, -(-len(active) // (_CHUNK_S * _RATE)))
    partial = [_speaker_network().embed_utterance(chunk, return_partials=True)[1] for chunk in chunks]
    mean = np.concatenate(partial).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def speaker_similarity(one: FloatArray, other: FloatArray) -> float:
    """The cosine of two embeddings: about 0.8 and above for one speaker, 0.6 and below for two."""
    return float(np.dot(one, other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9))


def dnsmos_scores(audio: Source) -> DnsmosScores:
    """DNSMOS P.835 scores; all 1 for silence."""
    from speechmos import dnsmos

    active = _active_audio(audio)
    if len(active) < _RATE // 4:
        return DnsmosScores(1.0, 1.0, 1.0)
    scores = dnsmos.run(np.clip(active, -1, 1), _RATE)
    return DnsmosScores(float(scores["sig_mos"]), float(scores["bak_mos"]), float(scores["ovrl_mos"]))


def _active_audio(audio: Source) -> FloatArray:
    """The active segments concatenated, at -27 dBFS and 16 kHz. Shape: (n,)."""
    level = level_contour(audio)
    edges = np.flatnonzero(
        np.diff(np.concatenate([[False], active_frames(level, 40.0, -60.0), [False]]).astype(np.int8))
    )
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


def mean_embedding(pieces: list[Wave]) -> FloatArray:
    """The mean of all pieces' embeddings, normalised. Shape: (256,)."""
    mean = np.mean([speaker_embedding(piece) for piece in pieces], axis=0) if pieces else np.zeros(256)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)
