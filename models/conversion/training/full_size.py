"""Training of a full-size voice: so-vits-svc-fork's recipe for the solver, which can be interrupted at any time.

A variational autoencoder with a prior conditioned on content and F0, and multi-period discriminators (Kim et al.,
"VITS", 2021). Networks and losses are the fork's; batches and checkpoints are ours. The fork draws from
torch's global random state (latents, segments, dropout, excitation noise), so each step seeds that state from the seed
and its own number and restores it: a checkpoint needs no random state, and a resumed run gives the same weights as an
uninterrupted one. All is in float32, without a gradient scaler; the learning rate is a function of the epoch.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.conversion.engines import so_vits_network
from models.conversion.engines.so_vits import interpolate_unvoiced
from models.conversion.training.settings import FullTrainingSettings
from models.conversion.training.stopping import ShouldStop, never
from models.conversion.training.voice_dataset import Utterance
from models.core import solver
from models.core.errors import BadInput
from models.core.seeds import torch_seed, torch_seeded

from so_vits_svc_fork.hparams import HParams  # isort: skip  # after networks
from so_vits_svc_fork.modules import commons, losses, mel_processing  # isort: skip

# the fork calls torch.stft with return_complex=False, deprecated but present in the pinned torch
warnings.filterwarnings("ignore", r"stft with return_complex=False is deprecated", UserWarning)

MAX_FRAMES = 800
"""Longest utterance in a batch, as in the fork; attention is quadratic in it."""


@dataclass(frozen=True)
class Batch:
    """Content (B, d, T), interpolated F0 in hertz and voicing (B, T), audio (B, T * hop), frames (B,)."""

    content: Tensor
    f0: Tensor
    voiced: Tensor
    audio: Tensor
    frames: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(getattr(self, name).to(device) for name in ("content", "f0", "voiced", "audio", "frames")))


class Networks(NamedTuple):
    """What is trained together."""

    generator: so_vits_network.Network
    discriminators: so_vits_network.Network


def steps_per_epoch(utterances: int, settings: FullTrainingSettings) -> int:
    """Batches an epoch."""
    return -(-utterances // settings.batch_size)


def draw(utterances: Sequence[Utterance], settings: FullTrainingSettings, step: int, hop: int) -> Batch:
    """The batch of a step, a function of seed and step; utterances are padded to the longest."""
    epoch, position = divmod(step, steps_per_epoch(len(utterances), settings))
    order = np.random.default_rng([settings.seed, epoch]).permutation(len(utterances))
    rng = np.random.default_rng([settings.seed, epoch, position])
    cut = [_cut(utterances[int(i)], rng, hop) for i in order[position * settings.batch_size :][: settings.batch_size]]
    longest = max(len(piece.f0_hz) for piece in cut)
    short = [longest - len(piece.f0_hz) for piece in cut]
    return Batch(
        torch.stack([functional.pad(p.contents[0].float().T, (0, s)) for p, s in zip(cut, short, strict=True)]),
        torch.stack(
            [torch.from_numpy(np.pad(interpolate_unvoiced(p.f0_hz), (0, s))) for p, s in zip(cut, short, strict=True)]
        ),
        torch.stack([torch.from_numpy(np.pad(p.f0_hz > 0, (0, s))).float() for p, s in zip(cut, short, strict=True)]),
        torch.stack([torch.from_numpy(np.pad(p.audio, (0, s * hop))) for p, s in zip(cut, short, strict=True)]),
        torch.tensor([len(piece.f0_hz) for piece in cut]),
    )


def _cut(whole: Utterance, rng: np.random.Generator, hop: int) -> Utterance:
    """At most `MAX_FRAMES` of an utterance, with one of its contents."""
    content = whole.contents[int(rng.integers(len(whole.contents)))]
    start = int(rng.integers(max(len(whole.f0_hz) - MAX_FRAMES, 0) + 1))
    take = slice(start, start + MAX_FRAMES)
    return Utterance(whole.audio[start * hop : (start + MAX_FRAMES) * hop], whole.f0_hz[take], (content[take],))


class FullSizeTraining(solver.Training[so_vits_network.Network]):
    """Generator and discriminators of a full-size voice for the solver.

    Raises `BadInput` for a loss that is not finite.
    """

    def __init__(
        self, pair: Networks, utterances: Sequence[Utterance], config: dict[str, Any], settings: FullTrainingSettings
    ) -> None:
        self.network, self.discriminators = pair
        self.utterances, self.settings = utterances, settings
        self.params: Any = HParams(**config)
        self.device = next(self.network.parameters()).device
        self.should_stop: ShouldStop = never
        mel_processing.mel_basis.clear()  # the fork caches filters by their top frequency alone, whatever the rate
        self.optimizations = {
            "generator": self._optimization(self.network),
            "discriminators": self._optimization(self.discriminators),
        }

    def _optimization(self, network: nn.Module) -> solver.Optimization:
        of = self.settings
        optimizer = torch.optim.AdamW(
            network.parameters(), of.learning_rate, (of.beta1, of.beta2), eps=1e-9, weight_decay=of.weight_decay
        )
        epoch = steps_per_epoch(len(self.utterances), of)
        return solver.Optimization(optimizer, schedule=lambda progress: of.lr_decay ** (progress.step // epoch))

    def parts(self) -> dict[str, solver.Stateful]:
        return {"discriminators": self.discriminators}

    def validate(self, step: int, averaged: nn.Module) -> solver.Validation:
        return solver.Validation(stop=self.should_stop(self.network, step))

    def step(self, progress: solver.Progress) -> dict[str, float]:
        """One step of the generator and one of the discriminators. Returns the losses."""
        batch = draw(self.utterances, self.settings, progress.step, self.params.data.hop_length).to(self.device)
        with torch_seeded(torch_seed(self.settings.seed, progress.step), self.device):
            generator_losses, synthesis, reference = self.losses(batch, progress.step)
        if not torch.isfinite(generator_losses["total"]):
            raise BadInput(f"Training diverged at step {progress.step}: a loss is no number; lower the learning rate.")
        self.optimizations["generator"].minimize(generator_losses["total"])
        self.discriminators.requires_grad_(True)
        real, fake, _, _ = self.discriminators(reference, synthesis.detach())
        discriminator_loss, _, _ = losses.discriminator_loss(real, fake)
        self.optimizations["discriminators"].minimize(discriminator_loss)
        all_losses = generator_losses | {"discriminator": discriminator_loss}
        return {name: float(value.detach()) for name, value in all_losses.items()}

    def losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The generator's losses by name, its synthesis and the reference, both (B, 1, segment)."""
        params, speaker = self.params, torch.zeros(len(batch.frames), 1, dtype=torch.long, device=batch.audio.device)
        hop, segment = params.data.hop_length, params.train.segment_size
        spectrum = mel_processing.spectrogram_torch(batch.audio, params)  # (B, bins, T)
        try:
            synthesis, _, first, mask, (_, z_p, m_p, logs_p, _, logs_q), predicted_f0, _, f0 = self.network(
                batch.content, batch.f0, batch.voiced, spectrum, speaker, batch.frames, batch.frames
            )
        except SystemExit as error:  # the fork exits on an F0 that is not finite
            raise BadInput(f"Training diverged at step {step}: the pitch is not a number.") from error
        mels = mel_processing.spec_to_mel_torch(spectrum, params)
        reference_mel = commons.slice_segments(mels, first, segment // hop)
        reference = commons.slice_segments(batch.audio[:, None], first * hop, segment)[..., : synthesis.shape[-1]]
        self.discriminators.requires_grad_(False)
        _, scores, real, fake = self.discriminators(reference, synthesis)
        synthesis_mel = mel_processing.mel_spectrogram_torch(synthesis[:, 0], params)
        by_name = {
            "mel": functional.l1_loss(reference_mel[..., : synthesis_mel.shape[-1]], synthesis_mel)
            * params.train.c_mel,
            "kl": losses.kl_loss(z_p, logs_q, m_p, logs_p, mask) * params.train.c_kl,
            "pitch": functional.mse_loss(predicted_f0, f0),
            "adversarial": losses.generator_loss(scores)[0],
            "feature_matching": losses.feature_loss(real, fake),
        }
        return by_name | {"total": torch.stack(list(by_name.values())).sum()}, synthesis, reference


def train(
    pair: Networks,
    utterances: Sequence[Utterance],
    config: dict[str, Any],
    settings: FullTrainingSettings,
    run: solver.TrainingRun,
    should_stop: ShouldStop = never,
) -> None:
    """Train both in place, resuming from the run's checkpoint; `should_stop` is called every `check_every` epochs.

    Equal seeds give equal weights on one CPU, also when resumed. Raises `BadInput` for a loss that is not finite.
    """
    on_device = Networks(*(network.to(run.device) for network in pair))
    training = FullSizeTraining(on_device, utterances, config, settings)
    training.should_stop = should_stop
    epoch = steps_per_epoch(len(utterances), settings)
    plan = solver.SolverSettings(
        settings.epochs * epoch,
        checkpoint_every=settings.checkpoint_every,
        validate_every=settings.check_every * epoch,
    )
    solver.Solver(training, plan, run).train()
