"""Training data of a voice: F0 and content features of one speaker's recordings and of singing synthesised from them.

Recordings of singing are rare, speech is not: WORLD keeps the recording's envelope, stretches voiced segments and
replaces F0 by a melody with portamento and vibrato, in a range that follows from the speaker's median F0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyworld
import soxr
import torch
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from models.analysis.f0 import track_f0
from models.analysis.settings import F0Settings
from models.conversion.content import CONTENT_RATE, Encoder, content, frame_geometry, interpolate_content
from models.conversion.training.perturbation import Perturbation, perturb, resample_speed
from models.conversion.voices.registry import VocalRange
from models.core.dtypes import DoubleArray, FloatArray
from models.core.types import Wave

_HOP_S = 0.005
_TONIC_ABOVE_SPEECH = (-5.0, 9.0)
"""Range of the melody's tonic, in semitones above the median F0 of the speech."""
PITCH = F0Settings(hop_s=_HOP_S)


@dataclass(frozen=True)
class Utterance:
    """Mono `audio` at the voice's rate, its F0 at frame centres (hertz, 0 unvoiced; shape (frames,)) and contents.

    Each of `contents` is (frames, d): content features of the recording and of perturbations of it.
    """

    audio: FloatArray
    f0_hz: FloatArray
    contents: tuple[Tensor, ...]


def singing_version(audio: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
    """Speech as singing: voiced frames 1.2 to 2.5 times as long, on a random melody. Shape: (n,) -> (m,)."""
    track = track_f0(Wave(audio[None], rate), PITCH)
    wave = audio.astype(np.float64)
    f0 = track.hz.astype(np.float64)
    times = np.arange(len(f0)) * _HOP_S
    envelope = pyworld.cheaptrick(wave, f0, times, rate)
    noise = pyworld.d4c(wave, f0, times, rate, fft_size=(envelope.shape[1] - 1) * 2)
    voiced = uniform_filter1d((f0 > 0).astype(np.float64), 9)
    length = np.cumsum(1 + (rng.uniform(1.2, 2.5) - 1) * voiced)
    frames = np.clip(np.searchsorted(length, np.arange(int(length[-1]))), 0, len(f0) - 1)
    median_hz = float(np.median(f0[f0 > 0])) if (f0 > 0).any() else 200.0
    melody = _melody(len(frames), median_hz, rng)
    hz = np.where(f0[frames] > 0, melody, 0.0)
    sung = pyworld.synthesize(
        hz, np.ascontiguousarray(envelope[frames]), np.ascontiguousarray(noise[frames]), rate, 5.0
    )
    return np.asarray(sung / max(np.abs(sung).max(), 1e-6) * 0.7, np.float32)


def _melody(frames: int, median_hz: float, rng: np.random.Generator) -> DoubleArray:
    """F0 in hertz each 5 ms: notes of a major scale with portamento, and vibrato on long ones."""
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    tonic = 69 + 12 * np.log2(median_hz / 440) + rng.uniform(*_TONIC_ABOVE_SPEECH)
    semitones = np.zeros(frames)
    depth = np.zeros(frames)
    start, degree = 0, int(rng.integers(8))
    while start < frames:
        length = int(rng.uniform(0.2, 1.0) / _HOP_S)
        semitones[start : start + length] = tonic + scale[degree]
        vibrato = np.clip((np.arange(length) * _HOP_S - 0.2) / 0.3, 0, 1) * rng.uniform(0, 0.5)
        depth[start : start + length] = vibrato[: max(min(length, frames - start), 0)]
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 7))
        start += length
    glided = uniform_filter1d(semitones, int(rng.uniform(6, 20)), mode="nearest")
    wander = np.cumsum(rng.normal(0, 0.01, frames))
    wave = depth * np.sin(2 * np.pi * rng.uniform(4.8, 6.2) * np.arange(frames) * _HOP_S)
    return np.asarray(440 * 2 ** ((glided + wave + wander - uniform_filter1d(wander, 101) - 69) / 12))


def utterance(
    audio: FloatArray, rate: int, hop: int, encoder: Encoder, variants: int, rng: np.random.Generator
) -> Utterance:
    """A recording with its F0 and the content features of itself and of `variants` perturbations."""
    frames = len(audio) // hop
    audio = audio[: frames * hop]
    times = (np.arange(frames) + 0.5) * hop / rate
    f0 = track_f0(Wave(audio[None], rate), PITCH).at(times)
    resampled = np.asarray(soxr.resample(audio, rate, CONTENT_RATE), np.float32)
    contents = [_content(encoder, resampled, times, 1.0)]
    for index in range(variants):
        change = Perturbation.draw(rng)
        changed = torch.from_numpy(
            resample_speed(resampled, 0, int(len(resampled) / change.speed) + CONTENT_RATE // 10, change.speed)
        )
        noise = torch.Generator().manual_seed(int(rng.integers(2**31)) + index)
        contents.append(_content(encoder, perturb(changed[None], [change], noise)[0].numpy(), times, change.speed))
    return Utterance(audio, f0, tuple(contents))


def _content(encoder: Encoder, audio: FloatArray, times: DoubleArray, speed: float) -> Tensor:
    """Content features at `times` of the recording; `audio` is a version `speed` times as fast. Shape: (T, d)."""
    _, step = frame_geometry(encoder.config)
    with torch.no_grad():
        states = content(encoder, torch.from_numpy(audio)[None])[0]
        return interpolate_content(states, torch.from_numpy(times / speed).float(), step).half()


def vocal_range_of(tracks: Sequence[FloatArray], frame_s: float) -> VocalRange:
    """Pitch histogram of F0 tracks (hertz, 0 unvoiced)."""
    hz = np.concatenate([track[track > 0] for track in tracks])
    if not len(hz):
        return VocalRange(0, ())
    pitch = np.round(69 + 12 * np.log2(hz / 440)).astype(int)
    counts = np.bincount(pitch - pitch.min())
    return VocalRange(int(pitch.min()), tuple(float(c) * frame_s for c in counts))
