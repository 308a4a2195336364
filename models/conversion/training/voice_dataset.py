"""What a voice learns from: recordings of one speaker, and the same words sung by WORLD.

Singing by one's voice is rare, speech is not: the recording's envelope is kept, its vowels are drawn out and its pitch
is replaced by a melody with glides and vibrato, over the range in which somebody who speaks that high would sing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyworld
import soxr
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from models.analysis.f0 import track_f0
from models.analysis.settings import PitchSettings
from models.conversion.content import CONTENT_RATE, Encoder, content, content_at, frame_geometry
from models.conversion.training.perturbation import Perturbation, perturbed, sped
from models.conversion.voices.registry import Range
from models.core.types import Wave

Floats = NDArray[np.float32]

_HOP_S = 0.005
_TONIC_ABOVE_SPEECH = (-5.0, 9.0)
"""Where the tonic of a melody of an octave lies, in semitones above the median of the speech."""
PITCH = PitchSettings(hop_s=_HOP_S)


@dataclass(frozen=True)
class Utterance:
    """Mono `audio` at the voice's rate, its pitch at frame centres (hertz, 0 unvoiced; shape (frames,)) and contents.

    Each of `contents` is (frames, d): what the encoder hears in the recording and in perturbations of it.
    """

    audio: Floats
    f0_hz: Floats
    contents: tuple[Tensor, ...]


def sung_version(audio: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """A recording of speech as if sung: vowels 1.2 to 2.5 times as long, on a random melody. Shape: (n,) -> (m,)."""
    track = track_f0(Wave(audio[None], rate), PITCH)
    wave = audio.astype(np.float64)
    now = track.hz.astype(np.float64)
    times = np.arange(len(now)) * _HOP_S
    envelope = pyworld.cheaptrick(wave, now, times, rate)
    noise = pyworld.d4c(wave, now, times, rate, fft_size=(envelope.shape[1] - 1) * 2)
    voiced = uniform_filter1d((now > 0).astype(np.float64), 9)
    length = np.cumsum(1 + (rng.uniform(1.2, 2.5) - 1) * voiced)
    frames = np.clip(np.searchsorted(length, np.arange(int(length[-1]))), 0, len(now) - 1)
    spoken = float(np.median(now[now > 0])) if (now > 0).any() else 200.0
    melody = _melody(len(frames), spoken, rng)
    hz = np.where(now[frames] > 0, melody, 0.0)
    sung = pyworld.synthesize(
        hz, np.ascontiguousarray(envelope[frames]), np.ascontiguousarray(noise[frames]), rate, 5.0
    )
    return np.asarray(sung / max(np.abs(sung).max(), 1e-6) * 0.7, np.float32)


def _melody(frames: int, spoken_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A pitch in hertz for each 5 ms: notes of a major scale, gliding, with vibrato on the long ones."""
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    tonic = 69 + 12 * np.log2(spoken_hz / 440) + rng.uniform(*_TONIC_ABOVE_SPEECH)
    semitones = np.zeros(frames)
    depth = np.zeros(frames)
    start, place = 0, int(rng.integers(8))
    while start < frames:
        length = int(rng.uniform(0.2, 1.0) / _HOP_S)
        semitones[start : start + length] = tonic + scale[place]
        vibrato = np.clip((np.arange(length) * _HOP_S - 0.2) / 0.3, 0, 1) * rng.uniform(0, 0.5)
        depth[start : start + length] = vibrato[: max(min(length, frames - start), 0)]
        place = int(np.clip(place + rng.integers(-3, 4), 0, 7))
        start += length
    glided = uniform_filter1d(semitones, int(rng.uniform(6, 20)), mode="nearest")
    wander = np.cumsum(rng.normal(0, 0.01, frames))
    wave = depth * np.sin(2 * np.pi * rng.uniform(4.8, 6.2) * np.arange(frames) * _HOP_S)
    return np.asarray(440 * 2 ** ((glided + wave + wander - uniform_filter1d(wander, 101) - 69) / 12))


def utterance(
    audio: Floats, rate: int, hop: int, encoder: Encoder, variants: int, rng: np.random.Generator
) -> Utterance:
    """A recording prepared for training, with the contents of itself and of so many perturbations."""
    frames = len(audio) // hop
    audio = audio[: frames * hop]
    times = (np.arange(frames) + 0.5) * hop / rate
    f0 = track_f0(Wave(audio[None], rate), PITCH).at(times)
    heard = np.asarray(soxr.resample(audio, rate, CONTENT_RATE), np.float32)
    contents = [_content(encoder, heard, times, 1.0)]
    for index in range(variants):
        change = Perturbation.draw(rng)
        changed = torch.from_numpy(sped(heard, 0, int(len(heard) / change.speed) + CONTENT_RATE // 10, change.speed))
        noise = torch.Generator().manual_seed(int(rng.integers(2**31)) + index)
        contents.append(_content(encoder, perturbed(changed[None], [change], noise)[0].numpy(), times, change.speed))
    return Utterance(audio, f0, tuple(contents))


def _content(encoder: Encoder, heard: Floats, times: NDArray[np.float64], speed: float) -> Tensor:
    """The content at `times` of the recording, of which `heard` is a version `speed` times as fast. Shape: (T, d)."""
    _, step = frame_geometry(encoder.config)
    with torch.no_grad():
        states = content(encoder, torch.from_numpy(heard)[None])[0]
        return content_at(states, torch.from_numpy(times / speed).float(), step).half()


def range_of(tracks: Sequence[Floats], frame_s: float) -> Range:
    """How long each semitone was heard in pitch tracks (hertz, 0 unvoiced)."""
    hz = np.concatenate([track[track > 0] for track in tracks])
    if not len(hz):
        return Range(0, ())
    pitch = np.round(69 + 12 * np.log2(hz / 440)).astype(int)
    counts = np.bincount(pitch - pitch.min())
    return Range(int(pitch.min()), tuple(float(c) * frame_s for c in counts))
