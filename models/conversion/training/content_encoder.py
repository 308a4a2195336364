"""Training a small content encoder: phones of synthetic speech, agreement of two perturbations, and the spectrum.

Three losses on the encoder's last hidden states. Phones: cross-entropy where a synthesiser said which phone sounds.
Agreement: two perturbed views of one moment are nearer to each other than to other moments (InfoNCE, after ContentVec).
Spectrum: the log-mel frames of the untouched recording, less their mean, can be told from either view.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.conversion.content import CONTENT_RATE, Encoder, content
from models.conversion.training.perturbation import Perturbation, perturbed, sped
from models.conversion.training.phones import LABEL_HOP_S, PHONES
from models.conversion.training.settings import EncoderTraining
from models.core.progress import UNWATCHED, Watch

_MELS = 40
_FRAME_S = 0.02


@dataclass(frozen=True)
class Corpus:
    """Recordings end to end: `audio` int16 at `CONTENT_RATE`; `labels` a class each `LABEL_HOP_S`, -1 where unknown.

    `bounds` are the clips' first and last samples (shape (clips, 2)); `labelled` and `heldout` say which clips are.
    """

    audio: NDArray[np.int16]
    labels: NDArray[np.int8]
    bounds: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    heldout: NDArray[np.bool_]

    def clip(self, index: int) -> NDArray[np.float32]:
        low, high = self.bounds[index]
        return np.asarray(self.audio[low:high] / np.float32(32768), np.float32)


@dataclass(frozen=True)
class Batch:
    """Two views (each (batch, samples)), their perturbations, the untouched pieces and their labels."""

    views: tuple[Tensor, Tensor]
    speeds: tuple[Tensor, Tensor]
    plain: Tensor
    labels: Tensor


class Heads(nn.Module):
    """What hangs on the encoder while it is trained: phones and mel frames from one hidden state."""

    def __init__(self, width: int):
        super().__init__()
        self.phones = nn.Linear(width, len(PHONES))
        self.spectrum = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, _MELS))


def draw(corpus: Corpus, settings: EncoderTraining, rng: np.random.Generator, torch_rng: torch.Generator) -> Batch:
    """A batch of random pieces and two perturbations of each."""
    length = int(settings.span_s * CONTENT_RATE)
    pools = [np.flatnonzero(corpus.labelled & ~corpus.heldout), np.flatnonzero(~corpus.labelled & ~corpus.heldout)]
    pieces, labels, views, speeds = [], [], ([], []), ([], [])  # type: ignore[var-annotated]
    chosen: tuple[list[Perturbation], list[Perturbation]] = ([], [])
    for row in range(settings.batch):
        pool = pools[0] if row < round(settings.batch * settings.labelled_share) or not len(pools[1]) else pools[1]
        index = int(rng.choice(pool))
        audio = corpus.clip(index)
        start = int(rng.integers(max(len(audio) - length, 1)))
        pieces.append(sped(audio, start, 2 * length, 1.0))
        first = int((corpus.bounds[index, 0] + start) / CONTENT_RATE / LABEL_HOP_S)
        last = int(corpus.bounds[index, 1] / CONTENT_RATE / LABEL_HOP_S)
        found = corpus.labels[first : min(first + int(2 * settings.span_s / LABEL_HOP_S), last)]
        labels.append(np.pad(found, (0, int(2 * settings.span_s / LABEL_HOP_S) - len(found)), constant_values=-1))
        for side in (0, 1):
            chosen[side].append(Perturbation.draw(rng))
            views[side].append(sped(audio, start, length, chosen[side][-1].speed))
            speeds[side].append(chosen[side][-1].speed)
    sides = [perturbed(torch.from_numpy(np.stack(views[i])), chosen[i], torch_rng) for i in (0, 1)]
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
    """Phone, agreement and spectrum loss of a batch, and the share of labelled frames told right."""
    rows = len(batch.plain)
    states = content(encoder, torch.cat(batch.views))  # (2B, T, d)
    frames = states.shape[1]
    speeds = torch.cat(batch.speeds)
    times = (torch.arange(frames) + 0.5)[None] * _FRAME_S * speeds[:, None]  # of each frame in the untouched piece
    labels = torch.gather(
        batch.labels.repeat(2, 1), 1, (times / LABEL_HOP_S).long().clamp(max=batch.labels.shape[1] - 1)
    )
    logits = heads.phones(states)
    phones = functional.cross_entropy(logits.transpose(1, 2), labels, weights, ignore_index=-1, label_smoothing=0.05)
    right = (logits.argmax(-1) == labels)[labels >= 0].float().mean()
    mel = log_mel(batch.plain).repeat(2, 1, 1)
    wanted = _at(mel, times)
    spectrum = (heads.spectrum(states) - wanted).abs().mean()
    agreement = _agreement(states[:rows], states[rows:], batch.speeds)
    return {"phones": phones, "agreement": agreement, "spectrum": spectrum, "right": right}


def _at(rows: Tensor, times: Tensor) -> Tensor:
    """Frames (B, T, d), 20 ms apart, at other times in seconds (B, K), by linear interpolation. Shape: (B, K, d)."""
    position = (times / _FRAME_S - 0.5).clamp(0, rows.shape[1] - 1)
    low = position.floor().long().clamp(max=rows.shape[1] - 2)
    fraction = (position - low)[:, :, None]
    index = low[:, :, None].expand(-1, -1, rows.shape[2])
    return torch.gather(rows, 1, index) * (1 - fraction) + torch.gather(rows, 1, index + 1) * fraction


def _agreement(left: Tensor, right: Tensor, speeds: tuple[Tensor, Tensor]) -> Tensor:
    """InfoNCE between two views, negatives from the same recording, at moments that both views hold."""
    moments = 40
    common = left.shape[1] * _FRAME_S * torch.minimum(*speeds)  # (B,) seconds of the untouched piece
    times = (torch.arange(moments) + 0.5)[None] / moments * common[:, None]
    a = functional.normalize(_at(left, times / speeds[0][:, None]), dim=-1)
    b = functional.normalize(_at(right, times / speeds[1][:, None]), dim=-1)
    similarity = a @ b.transpose(1, 2) / 0.1  # (B, K, K)
    target = torch.arange(moments).repeat(len(a), 1)
    return functional.cross_entropy(similarity, target) / 2 + functional.cross_entropy(similarity.mT, target) / 2


def train(
    encoder: Encoder,
    corpus: Corpus,
    settings: EncoderTraining,
    folder: Path,
    report: Callable[[dict[str, float]], None],
    watch: Watch = UNWATCHED,
) -> Heads:
    """Train in place, from the last checkpoint in `folder` if there is one; `report` hears the mean losses.

    Equal seeds give equal weights, also across a stop: each step draws from its own random state.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        heads = Heads(encoder.config.hidden_size)
    trained = [p for p in [*encoder.parameters(), *heads.parameters()] if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    step, checkpoint = 0, folder / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        encoder.load_state_dict(state["encoder"])
        heads.load_state_dict(state["heads"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    seen = np.bincount(corpus.labels[corpus.labels >= 0], minlength=len(PHONES)) + 100
    weights = torch.tensor((seen.mean() / seen) ** 0.35, dtype=torch.float32)
    means: dict[str, list[float]] = {}
    encoder.train()
    while step < settings.steps:
        watch.at(step / settings.steps)
        rate = min((step + 1) / settings.warmup, 0.5 + 0.5 * np.cos(np.pi * step / settings.steps) + 0.02)
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * float(min(rate, 1.0))
        rng = np.random.default_rng([settings.seed, step])
        batch = draw(corpus, settings, rng, torch.Generator().manual_seed(settings.seed * 1_000_003 + step))
        parts = losses(encoder, heads, batch, weights)
        total = (
            parts["phones"]
            + settings.agreement_weight * parts["agreement"]
            + settings.spectrum_weight * parts["spectrum"]
        )
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step += 1
        for name, value in parts.items():
            means.setdefault(name, []).append(float(value))
        if step % 50 == 0:
            report({"step": step, **{name: float(np.nanmean(values)) for name, values in means.items()}})
            means.clear()
        if step % settings.checkpoint_every == 0 or step == settings.steps:
            _save(checkpoint, encoder, heads, optimiser, step)
    encoder.train(False)
    return heads


def _save(path: Path, encoder: Encoder, heads: Heads, optimiser: torch.optim.Optimizer, step: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "encoder": encoder.state_dict(),
        "heads": heads.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
