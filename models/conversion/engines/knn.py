"""The kNN engine: each frame gets the mean spectrum of its nearest neighbours among a speaker's recordings.

After Baas et al., "Voice conversion with just nearest neighbors", 2023: neighbours in content space. Here they give a
WORLD envelope and aperiodicity, so that F0 is independent of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyworld
import soxr
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.ndimage import uniform_filter1d

from models.analysis.f0 import track_f0
from models.analysis.settings import F0Settings
from models.conversion.content import CONTENT_RATE, Encoder, content, frame_geometry, interpolate_content, load_encoder
from models.conversion.voices.registry import Card
from models.core import registry
from models.core.dtypes import FloatArray
from models.core.errors import BadInput
from models.core.types import Wave

KNN_RATE = 24_000
POOL_FILE = "pool.safetensors"
_HOP_S = 0.005
_CEPSTRUM = 40
_NEIGHBOURS = 4
_FFT = pyworld.get_cheaptrick_fft_size(KNN_RATE)


@dataclass(frozen=True)
class Pool:
    """Frames of a speaker's recordings: unit content features (n, d), WORLD mel-cepstra (n, c), band aperiodicities."""

    contents: FloatArray
    cepstra: FloatArray
    aperiodicities: FloatArray

    def save(self, path: Path) -> None:
        """Write it in half precision."""
        save_file({name: np.asarray(value, np.float16) for name, value in vars(self).items()}, path)

    @staticmethod
    def load(path: Path) -> "Pool":
        """Read what `save` wrote; raises `BadInput` where it is something else."""
        try:
            pool = Pool(**{name: value.astype(np.float32) for name, value in load_file(path).items()})
            if not all(value.ndim == 2 and np.isfinite(value).all() for value in vars(pool).values()):
                raise ValueError("it holds numbers that are not finite, or not in rows")
            if len({len(value) for value in vars(pool).values()}) > 1 or len(pool.contents) < _NEIGHBOURS:
                raise ValueError("it holds too few frames")
            return pool
        except (SafetensorError, OSError, TypeError, ValueError) as error:
            raise BadInput(f"The pool of recordings {path.name} cannot be read: {error}.") from error


def content_features(audio: FloatArray, rate: int, encoder: Encoder, times: NDArray[Any]) -> FloatArray:
    """Centred content features of unit length at times in seconds. Shape: (n,), (T,) -> (T, d)."""
    _, step = frame_geometry(encoder.config)
    samples = soxr.resample(audio, rate, CONTENT_RATE)
    samples = np.pad(samples, (0, max(2 * step - len(samples), 0))).astype(np.float32)
    device = next(encoder.parameters()).device
    with torch.inference_mode():
        states = content(encoder, torch.from_numpy(samples)[None].to(device))[0]
        rows = interpolate_content(states, torch.from_numpy(times).float().to(device), step)
        rows = rows - rows.mean(dim=1, keepdim=True)
        return np.asarray(torch.nn.functional.normalize(rows, dim=1).cpu().numpy(), np.float32)


def build_pool(recordings: list[Wave], encoder: Encoder, max_frames: int = 6000, seed: int = 0) -> Pool:
    """A pool of at most `max_frames` active frames of mono recordings, 20 ms apart or more, drawn at random."""
    parts: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for recording in recordings:
        audio = soxr.resample(recording.samples.mean(axis=0), recording.sample_rate, KNN_RATE)
        f0 = track_f0(Wave(audio[None], KNN_RATE), F0Settings(hop_s=_HOP_S)).hz.astype(np.float64)
        times = np.arange(len(f0)) * _HOP_S
        wave = audio.astype(np.float64)
        envelope = pyworld.cheaptrick(wave, f0, times, KNN_RATE, fft_size=_FFT)
        noise = pyworld.d4c(wave, f0, times, KNN_RATE, fft_size=_FFT)
        level = 10 * np.log10(envelope.mean(axis=1) + 1e-16)
        take = np.flatnonzero(level > np.percentile(level, 98) - 50)[::4]
        cepstra = pyworld.code_spectral_envelope(envelope[take], KNN_RATE, _CEPSTRUM)
        bands = pyworld.code_aperiodicity(noise[take], KNN_RATE)
        parts.append((content_features(audio, KNN_RATE, encoder, times[take]), cepstra.astype(np.float32), bands))
    contents, cepstra, bands = (np.concatenate([row[i] for row in parts]) for i in range(3))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(contents))[:max_frames])
    return Pool(contents[chosen], cepstra[chosen], np.asarray(bands[chosen], np.float32))


class KnnVoice:
    """The pool of a voice and the encoder of its content features."""

    def __init__(self, pool: Pool, encoder: Encoder, card: Card):
        self.card, self.pool, self.encoder = card, pool, encoder
        self.sample_rate = KNN_RATE
        self.hop = int(KNN_RATE * _HOP_S)

    @classmethod
    def load(cls, folder: Path, card: Card, device: str) -> "KnnVoice":
        """The voice in a folder; raises `BadInput` when its pool and the encoder do not fit."""
        weights = registry.verified(registry.find("content_encoder", card.content_encoder))
        encoder, pool = load_encoder(weights.parent, device), Pool.load(folder / card.weights)
        if pool.contents.shape[1] != encoder.config.hidden_size:
            raise BadInput(f"The voice {folder.name!r} was made with another content encoder.")
        return cls(pool, encoder, card)

    def resynthesise(
        self, audio: FloatArray, f0_hz: FloatArray, target_hz: FloatArray, noise_scale: float, seed: int
    ) -> FloatArray:
        """See `VoiceEngine`; deterministic, `noise_scale` and `seed` are not used. Shape: (n,) -> (n,)."""
        times = (np.arange(len(target_hz)) + 0.5) * _HOP_S
        query = content_features(audio, KNN_RATE, self.encoder, times)
        similarity = query @ self.pool.contents.T  # (T, n)
        nearest = np.argpartition(-similarity, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
        cepstra = uniform_filter1d(self.pool.cepstra[nearest].mean(axis=1), 5, axis=0).astype(np.float64)
        bands = uniform_filter1d(self.pool.aperiodicities[nearest].mean(axis=1), 5, axis=0).astype(np.float64)
        envelope = pyworld.decode_spectral_envelope(np.ascontiguousarray(cepstra), KNN_RATE, _FFT)
        noise = pyworld.decode_aperiodicity(np.ascontiguousarray(np.minimum(bands, 0.0)), KNN_RATE, _FFT)
        sung = pyworld.synthesize(target_hz.astype(np.float64), envelope, noise, KNN_RATE, _HOP_S * 1000)
        delayed = np.concatenate([np.zeros(self.hop // 2), sung])[: len(audio)]  # frames are centred half a hop later
        return np.pad(delayed, (0, len(audio) - len(delayed))).astype(np.float32)
