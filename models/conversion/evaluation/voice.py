"""How well a voice sings: pitch, voicing, likeness, naturalness, words and speed, on clips of known or tracked pitch.

Rows to compare with are the source as it is, `world` and `knn`. Likeness and naturalness are by the meters of
`models.conversion.metrics`; words are the share of frames whose phone, told by the content encoder's own phone head, is
the source's, which compares rows and says little by itself.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from models.analysis.f0 import F0, track_f0
from models.conversion.content import CONTENT_RATE, Encoder, content
from models.conversion.convert import RevoiceSettings, Voice, auto_key, convert
from models.conversion.metrics import embedding, likeness, opinion
from models.core.types import Samples, Wave
from models.synthesis.example_song.song import example_song

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SungClip:
    """Something to be sung again: `audio`, and its pitch where it is known exactly."""

    name: str
    audio: Wave
    f0: F0 | None = None


def example_clip(seconds: float = 14.0, seed: int = 0) -> SungClip:
    """The lead of the project's own example song, or of another like it, whose pitch is known."""
    song = example_song(seed, seconds)
    name = "example song" if seed == 0 else f"example song {seed}"
    return SungClip(name, song.stems["lead_vocals"], F0(np.asarray(song.f0.hz, np.float32), song.f0.hop_s))


@dataclass(frozen=True)
class Figures:
    """What was measured of one clip in one voice.

    Median error of the pitch in cents after the key shift that was wanted, shares (0..1) of common voiced frames within
    50 cents and over 300, share of frames whose voicing differs, likeness to the target and to the source, naturalness
    (1 to 5), share of frames with the source's phone, and seconds of processor time a second of audio.
    """

    median_cents: float
    within_50: float
    gross: float
    voicing_error: float
    like_target: float
    like_source: float
    naturalness: float
    phones: float
    realtime: float


@dataclass(frozen=True)
class Ear:
    """What words are judged by: a content encoder and its phone head (weight (phones, d), bias (phones,))."""

    encoder: Encoder
    weight: torch.Tensor
    bias: torch.Tensor

    @staticmethod
    def load(folder: Path, encoder: Encoder) -> "Ear":
        """The head beside an encoder's weights."""
        head = load_file(folder / "phones.safetensors")
        return Ear(encoder, head["weight"].float(), head["bias"].float())

    @torch.inference_mode()
    def phones(self, audio: Wave) -> NDArray[np.int64]:
        """The phone of each 20 ms. Shape: (frames,)."""
        heard = soxr.resample(audio.samples.mean(axis=0), audio.sample_rate, CONTENT_RATE)
        found = []
        for start in range(0, max(len(heard), 1), 15 * CONTENT_RATE):
            piece = np.pad(heard[start : start + 15 * CONTENT_RATE], (0, 640)).astype(np.float32)
            states = content(self.encoder, torch.from_numpy(piece)[None])[0, :-2]
            found.append((states @ self.weight.T + self.bias).argmax(dim=1).numpy())
        return np.concatenate(found)


@dataclass(frozen=True)
class Sung:
    """What became of a clip, the seconds of processor time it took, and the semitones it was to be moved by."""

    audio: Wave
    seconds: float
    shift: int = 0


def sung_by(voice: Voice | None, clip: SungClip, settings: RevoiceSettings, device: str) -> Sung:
    """A clip in a voice, or as it is for None."""
    if voice is None:
        return Sung(clip.audio, 0.0)
    shift = settings.key_shift
    if shift is None:
        shift = auto_key(track_f0(clip.audio, settings.pitch), voice)
    started = time.process_time()
    blocks: list[Samples] = list(convert(clip.audio, voice, replace(settings, key_shift=shift), 0, device))
    return Sung(Wave(np.concatenate(blocks, axis=1), clip.audio.sample_rate), time.process_time() - started, shift)


def measure(
    clip: SungClip, voice: Voice | None, target: Floats | None, ear: Ear, settings: RevoiceSettings, device: str
) -> Figures:
    """Sing a clip (or leave it, for voice None) and measure; `target` is the embedding of the voice wanted, if any."""
    return measured(clip, sung_by(voice, clip, settings, device), target, ear, settings)


def measured(clip: SungClip, sung: Sung, target: Floats | None, ear: Ear, settings: RevoiceSettings) -> Figures:
    """The figures of a clip that was sung."""
    truth = clip.f0 or track_f0(clip.audio, settings.pitch)
    found = track_f0(sung.audio, settings.pitch).at(np.arange(len(truth.hz), dtype=np.float64) * float(truth.hop_s))
    both = (found > 0) & (truth.hz > 0)
    cents = 1200 * np.log2(found[both] / truth.hz[both]) if both.any() else np.zeros(0)
    cents = np.abs(cents - 100 * sung.shift) if len(cents) else np.full(1, np.nan)
    singer = embedding(sung.audio)
    before, after = ear.phones(clip.audio), ear.phones(sung.audio)
    frames = min(len(before), len(after))
    spoken = before[:frames] > 0
    return Figures(
        median_cents=float(np.median(cents)),
        within_50=float((cents < 50).mean()),
        gross=float((cents > 300).mean()),
        voicing_error=float(((found > 0) != (truth.hz > 0)).mean()),
        like_target=likeness(singer, target) if target is not None else float("nan"),
        like_source=likeness(singer, embedding(clip.audio)),
        naturalness=opinion(sung.audio).overall,
        phones=float((before[:frames] == after[:frames])[spoken].mean()) if spoken.any() else float("nan"),
        realtime=sung.seconds / max(clip.audio.duration_s, 1e-9),
    )


def means(rows: Sequence[Figures], seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Each figure's mean over clips with the ends of its 95 % interval, by bootstrap."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(rows), size=(1000, len(rows)))
    found = {}
    for field in fields(Figures):
        values = np.array([getattr(row, field.name) for row in rows])
        low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
        found[field.name] = (float(values.mean()), float(low), float(high))
    return found


def as_json(rows: Iterable[tuple[str, str, Figures]]) -> list[dict[str, object]]:
    """Rows of (voice, clip, figures) as plain data."""
    return [{"voice": voice, "clip": clip, **asdict(figures)} for voice, clip, figures in rows]
