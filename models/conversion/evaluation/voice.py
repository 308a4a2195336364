"""Voice conversion metrics: F0 error, voicing, speaker similarity, naturalness, phone agreement and speed.

Baselines are the unconverted source, `world` and `knn`. Similarity and naturalness are those of
`models.conversion.metrics`; phone agreement is the share of frames for which the content encoder's phone head gives the
source's phone, a relative measure.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import soxr
import torch
from safetensors.torch import load_file

from models.analysis.f0 import F0, track_f0
from models.conversion.content import CONTENT_RATE, Encoder, content
from models.conversion.convert import Voice, auto_key_shift, convert
from models.conversion.metrics import dnsmos_scores, speaker_embedding, speaker_similarity
from models.conversion.settings import ConvertSettings
from models.core.dtypes import FloatArray, IntArray
from models.core.types import Samples, Wave
from models.synthesis.example_song.song import example_song


@dataclass(frozen=True)
class EvaluationClip:
    """A vocal clip to convert, and its F0 where it is known exactly."""

    name: str
    audio: Wave
    f0: F0 | None = None


def example_clip(seconds: float = 14.0, seed: int = 0) -> EvaluationClip:
    """The lead vocal of the synthetic example song of that seed, whose F0 is known."""
    song = example_song(seed, seconds)
    name = "example song" if seed == 0 else f"example song {seed}"
    return EvaluationClip(name, song.stems["lead_vocals"], F0(np.asarray(song.f0.hz, np.float32), song.f0.hop_s))


@dataclass(frozen=True)
class VoiceMetrics:
    """Metrics of one converted clip.

    Median absolute F0 error in cents after the key shift, shares (0..1) of frames voiced in both within 50 cents and
    over 300 cents, voicing error rate, similarity to the target and to the source, naturalness (1 to 5), share of
    frames with the source's phone, and seconds of processor time a second of audio.
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
class PhoneClassifier:
    """A content encoder and its phone head (weight (phones, d), bias (phones,))."""

    encoder: Encoder
    weight: torch.Tensor
    bias: torch.Tensor

    @staticmethod
    def load(folder: Path, encoder: Encoder) -> "PhoneClassifier":
        """The phone head in the folder of an encoder's weights."""
        head = load_file(folder / "phones.safetensors")
        return PhoneClassifier(encoder, head["weight"].float(), head["bias"].float())

    @torch.inference_mode()
    def phones(self, audio: Wave) -> IntArray:
        """The phone of each 20 ms. Shape: (frames,)."""
        resampled = soxr.resample(audio.samples.mean(axis=0), audio.sample_rate, CONTENT_RATE)
        phones = []
        for start in range(0, max(len(resampled), 1), 15 * CONTENT_RATE):
            chunk = np.pad(resampled[start : start + 15 * CONTENT_RATE], (0, 640)).astype(np.float32)
            states = content(self.encoder, torch.from_numpy(chunk)[None])[0, :-2]
            phones.append((states @ self.weight.T + self.bias).argmax(dim=1).numpy())
        return np.concatenate(phones)


@dataclass(frozen=True)
class ConvertedClip:
    """A converted clip, the seconds of processor time it took, and its key shift in semitones."""

    audio: Wave
    seconds: float
    shift: int = 0


def convert_clip(voice: Voice | None, clip: EvaluationClip, settings: ConvertSettings, device: str) -> ConvertedClip:
    """A clip converted to a voice, or unchanged for None."""
    if voice is None:
        return ConvertedClip(clip.audio, 0.0)
    shift = settings.key_shift
    if shift is None:
        shift = auto_key_shift(track_f0(clip.audio, settings.pitch), voice)
    started = time.process_time()
    blocks: list[Samples] = list(convert(clip.audio, voice, replace(settings, key_shift=shift), 0, device))
    return ConvertedClip(
        Wave(np.concatenate(blocks, axis=1), clip.audio.sample_rate), time.process_time() - started, shift
    )


def measure(
    clip: EvaluationClip,
    voice: Voice | None,
    target: FloatArray | None,
    phone_classifier: PhoneClassifier,
    settings: ConvertSettings,
    device: str,
) -> VoiceMetrics:
    """Convert a clip (unchanged for voice None) and measure it; `target` is the target speaker's embedding, if any."""
    return clip_metrics(clip, convert_clip(voice, clip, settings, device), target, phone_classifier, settings)


def clip_metrics(
    clip: EvaluationClip,
    converted: ConvertedClip,
    target: FloatArray | None,
    phone_classifier: PhoneClassifier,
    settings: ConvertSettings,
) -> VoiceMetrics:
    """The metrics of a converted clip."""
    reference = clip.f0 or track_f0(clip.audio, settings.pitch)
    estimate = track_f0(converted.audio, settings.pitch).at(
        np.arange(len(reference.hz), dtype=np.float64) * float(reference.hop_s)
    )
    both = (estimate > 0) & (reference.hz > 0)
    cents = 1200 * np.log2(estimate[both] / reference.hz[both]) if both.any() else np.zeros(0)
    cents = np.abs(cents - 100 * converted.shift) if len(cents) else np.full(1, np.nan)
    embedding = speaker_embedding(converted.audio)
    before, after = phone_classifier.phones(clip.audio), phone_classifier.phones(converted.audio)
    frames = min(len(before), len(after))
    speech = before[:frames] > 0
    return VoiceMetrics(
        median_cents=float(np.median(cents)),
        within_50=float((cents < 50).mean()),
        gross=float((cents > 300).mean()),
        voicing_error=float(((estimate > 0) != (reference.hz > 0)).mean()),
        like_target=speaker_similarity(embedding, target) if target is not None else float("nan"),
        like_source=speaker_similarity(embedding, speaker_embedding(clip.audio)),
        naturalness=dnsmos_scores(converted.audio).overall,
        phones=float((before[:frames] == after[:frames])[speech].mean()) if speech.any() else float("nan"),
        realtime=converted.seconds / max(clip.audio.duration_s, 1e-9),
    )


def means(rows: Sequence[VoiceMetrics], seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Each metric's mean over clips with its 95 % bootstrap interval: (mean, low, high)."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(rows), size=(1000, len(rows)))
    result = {}
    for field in fields(VoiceMetrics):
        values = np.array([getattr(row, field.name) for row in rows])
        low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
        result[field.name] = (float(values.mean()), float(low), float(high))
    return result


def as_json(rows: Iterable[tuple[str, str, VoiceMetrics]]) -> list[dict[str, object]]:
    """Rows of (voice, clip, metrics) as plain data."""
    return [{"voice": voice, "clip": clip, **asdict(metrics)} for voice, clip, metrics in rows]
