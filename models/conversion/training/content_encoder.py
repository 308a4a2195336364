"""Training of a small content encoder: phone classification, contrastive and spectrum losses.

Three losses on the encoder's last hidden states. Phones: cross-entropy on synthetic speech with known phones.
Agreement: InfoNCE between two perturbed views of one recording (after ContentVec). Spectrum: L1 of the unperturbed
recording's log-mel frames, less their mean, predicted from either view.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.conversion.content import CONTENT_RATE, Encoder, content
from models.conversion.training.perturbation import Perturbation, perturb, resample_speed
from models.conversion.training.phones import LABEL_HOP_S, PHONES
from models.conversion.training.settings import EncoderTrainingSettings
from models.core import solver
from models.core.dtypes import BoolArray, FloatArray, Int16Array, IntArray
from models.core.seeds import torch_seed

_MELS = 40
_FRAME_S = 0.02


@dataclass(frozen=True)
class Corpus:
    """Concatenated recordings: `audio` int16 at `CONTENT_RATE`; `labels` a class each `LABEL_HOP_S`, -1 where unknown.

    `bounds` are the clips' first and last samples (shape (clips, 2)); `labelled` and `held_out` say which clips are.
    """

    audio: Int16Array
    labels: NDArray[np.int8]
    bounds: IntArray
    labelled: BoolArray
    held_out: BoolArray

    def clip(self, index: int) -> FloatArray:
        low, high = self.bounds[index]
        return np.asarray(self.audio[low:high] / np.float32(32768), np.float32)


@dataclass(frozen=True)
class Batch:
    """Two views (each (batch, samples)), their speeds, the unperturbed audio and its labels."""

    views: tuple[Tensor, Tensor]
    speeds: tuple[Tensor, Tensor]
    plain: Tensor
    labels: Tensor


class Heads(nn.Module):
    """Heads on the encoder during training: phone logits and mel frames from hidden states."""

    def __init__(self, width: int):
        super().__init__()
        self.phones = nn.Linear(width, len(PHONES))
        self.spectrum = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, _MELS))


def draw(
    corpus: Corpus, settings: EncoderTrainingSettings, rng: np.random.Generator, torch_rng: torch.Generator
) -> Batch:
    """A batch of random excerpts and two perturbations of each."""
    length = int(settings.span_s * CONTENT_RATE)
    pools = [np.flatnonzero(corpus.labelled & ~corpus.held_out), np.flatnonzero(~corpus.labelled & ~corpus.held_out)]
    pieces, labels, views, speeds = [], [], ([], []), ([], [])  # type: ignore[var-annotated]
    chosen: tuple[list[Perturbation], list[Perturbation]] = ([], [])
    for row in range(settings.batch):
        pool = pools[0] if row < round(settings.batch * settings.labelled_share) or not len(pools[1]) else pools[1]
        index = int(rng.choice(pool))
        audio = corpus.clip(index)
        start = int(rng.integers(max(len(audio) - length, 1)))
        pieces.append(resample_speed(audio, start, 2 * length, 1.0))
        first = int((corpus.bounds[index, 0] + start) / CONTENT_RATE / LABEL_HOP_S)
        last = int(corpus.bounds[index, 1] / CONTENT_RATE / LABEL_HOP_S)
        known = corpus.labels[first : min(first + int(2 * settings.span_s / LABEL_HOP_S), last)]
        labels.append(np.pad(known, (0, int(2 * settings.span_s / LABEL_HOP_S) - len(known)), constant_values=-1))
        for side in (0, 1):
            chosen[side].append(Perturbation.draw(rng))
            views[side].append(resample_speed(audio, start, length, chosen[side][-1].speed))
            speeds[side].append(chosen[side][-1].speed)
    sides = [perturb(torch.from_numpy(np.stack(views[i])), chosen[i], torch_rng) for i in (0, 1)]
    return Batch(
        (sides[0], sides[1]),
        (torch.tensor(speeds[0]), torch.tensor(speeds[1])),
        torch.from_numpy(np.stack(pieces)),
        torch.from_numpy(np.stack(labels)).long(),
    )


def mel_filters(bins: int, rate: int, mels: int, top_hz: float) -> Tensor:
    """Triangular filters, evenly spaced in mel. Shape: (mels, bins)."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + top_hz / 700), mels + 2) / 2595) - 1)
    hz = np.arange(bins) * rate / 2 / (bins - 1)
    rise = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    return torch.tensor(np.maximum(0, np.minimum(rise, fall)), dtype=torch.float32)


def log_mel(audio: Tensor) -> Tensor:
    """Log-mel frames centred at (i + 0.5) * 20 ms, less the clip's mean. Shape: (B, samples) -> (B, T, mels)."""
    hop, fft = int(_FRAME_S * CONTENT_RATE), 512
    padded = functional.pad(audio, ((fft - hop) // 2, (fft - hop) // 2))
    power = torch.stft(padded, fft, hop, window=torch.hann_window(fft), center=False, return_complex=True).abs() ** 2
    log = (mel_filters(fft // 2 + 1, CONTENT_RATE, _MELS, 7600) @ power + 1e-6).log().transpose(1, 2)
    return (log - log.mean(dim=1, keepdim=True)) / 2


def losses(encoder: Encoder, heads: Heads, batch: Batch, weights: Tensor) -> dict[str, Tensor]:
    """Phone, agreement and spectrum loss of a batch, and the phone accuracy of labelled frames (`right`)."""
    rows = len(batch.plain)
    states = content(encoder, torch.cat(batch.views))  # (2B, T, d)
    frames = states.shape[1]
    speeds = torch.cat(batch.speeds)
    times = (torch.arange(frames) + 0.5)[None] * _FRAME_S * speeds[:, None]  # of each frame in the unperturbed audio
    labels = torch.gather(
        batch.labels.repeat(2, 1), 1, (times / LABEL_HOP_S).long().clamp(max=batch.labels.shape[1] - 1)
    )
    logits = heads.phones(states)
    phones = functional.cross_entropy(logits.transpose(1, 2), labels, weights, ignore_index=-1, label_smoothing=0.05)
    right = (logits.argmax(-1) == labels)[labels >= 0].float().mean()
    mel = log_mel(batch.plain).repeat(2, 1, 1)
    target_mel = _interpolate(mel, times)
    spectrum = (heads.spectrum(states) - target_mel).abs().mean()
    agreement = _contrastive_loss(states[:rows], states[rows:], batch.speeds)
    return {"phones": phones, "agreement": agreement, "spectrum": spectrum, "right": right}


def _interpolate(rows: Tensor, times: Tensor) -> Tensor:
    """Frames (B, T, d), 20 ms apart, at other times in seconds (B, K), by linear interpolation. Shape: (B, K, d)."""
    position = (times / _FRAME_S - 0.5).clamp(0, rows.shape[1] - 1)
    low = position.floor().long().clamp(max=rows.shape[1] - 2)
    fraction = (position - low)[:, :, None]
    index = low[:, :, None].expand(-1, -1, rows.shape[2])
    return torch.gather(rows, 1, index) * (1 - fraction) + torch.gather(rows, 1, index + 1) * fraction


def _contrastive_loss(left: Tensor, right: Tensor, speeds: tuple[Tensor, Tensor]) -> Tensor:
    """InfoNCE between two views at times that both contain, with negatives from the same recording."""
    count = 40
    common = left.shape[1] * _FRAME_S * torch.minimum(*speeds)  # (B,) seconds of the unperturbed audio
    times = (torch.arange(count) + 0.5)[None] / count * common[:, None]
    a = functional.normalize(_interpolate(left, times / speeds[0][:, None]), dim=-1)
    b = functional.normalize(_interpolate(right, times / speeds[1][:, None]), dim=-1)
    similarity = a @ b.transpose(1, 2) / 0.1  # (B, K, K)
    target = torch.arange(count).repeat(len(a), 1)
    return functional.cross_entropy(similarity, target) / 2 + functional.cross_entropy(similarity.mT, target) / 2


class EncoderTraining(solver.Training[Encoder]):
    """An encoder with its heads for the solver; each step draws from its own random state."""

    def __init__(self, encoder: Encoder, corpus: Corpus, settings: EncoderTrainingSettings) -> None:
        self.network, self.corpus, self.settings = encoder, corpus, settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.heads = Heads(encoder.config.hidden_size)
        self.class_weights = _class_weights(corpus)
        trained = [p for p in [*encoder.parameters(), *self.heads.parameters()] if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.optimizations = {"encoder": solver.Optimization(optimizer, schedule=self._schedule, clipped=trained)}

    def parts(self) -> dict[str, solver.Stateful]:
        return {"heads": self.heads}

    def step(self, progress: solver.Progress) -> dict[str, float]:
        """A batch and its three losses; those without a labelled frame are left out."""
        settings = self.settings
        rng = np.random.default_rng([settings.seed, progress.step])
        torch_rng = torch.Generator().manual_seed(torch_seed(settings.seed, progress.step))
        batch = draw(self.corpus, settings, rng, torch_rng)
        by_name = losses(self.network, self.heads, batch, self.class_weights)
        total = by_name["phones"] + settings.agreement_weight * by_name["agreement"]
        self.optimizations["encoder"].minimize(total + settings.spectrum_weight * by_name["spectrum"])
        values = {name: float(value.detach()) for name, value in by_name.items()}
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def _schedule(self, progress: solver.Progress) -> float:
        """Linear warm-up and cosine decay."""
        decay = 0.5 + 0.5 * np.cos(np.pi * progress.step / self.settings.steps) + 0.02
        return float(min((progress.step + 1) / self.settings.warmup, decay, 1.0))


def train(encoder: Encoder, corpus: Corpus, settings: EncoderTrainingSettings, run: solver.TrainingRun) -> Heads:
    """Train in place and return the heads; equal seeds give equal weights, also when resumed. Always on the CPU."""
    training = EncoderTraining(encoder, corpus, settings)
    plan = solver.SolverSettings(settings.steps, checkpoint_every=settings.checkpoint_every, log_every=50)
    solver.Solver(training, plan, run).train()
    return training.heads


def _class_weights(corpus: Corpus) -> Tensor:
    """Weights of the phone classes, larger for rare ones."""
    counts = np.bincount(corpus.labels[corpus.labels >= 0], minlength=len(PHONES)) + 100
    return torch.tensor((counts.mean() / counts) ** 0.35, dtype=torch.float32)
