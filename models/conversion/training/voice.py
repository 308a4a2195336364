"""Training of a small so-vits-svc voice on a CPU, along the path used in conversion.

The fork trains a variational autoencoder with a discriminator of 46.7 M parameters, 13 s a step on a CPU. Here content
and F0 go through the prior, the flow and the decoder as in conversion; the loss is multi-resolution spectral and mel,
in the last part also adversarial with a small spectrogram discriminator. A linear head predicts the recording's mel
frames from the latents throughout: without it the decoder learns to ignore them, and the content with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.conversion.engines import so_vits_network
from models.conversion.training.losses import MELS, SpectrogramDiscriminator, log_mel, match_loudness, spectral_loss
from models.conversion.training.settings import VoiceTrainingSettings
from models.conversion.training.stopping import ShouldStop, never
from models.conversion.training.voice_dataset import Utterance
from models.core import solver
from models.core.seeds import torch_seed


def hop_of(network: so_vits_network.Network) -> int:
    """Samples a frame."""
    return int(np.prod(network.upsample_rates))


def synthesise(network: so_vits_network.Network, z: Tensor, f0: Tensor, rng: torch.Generator) -> Tensor:
    """Audio of latents and F0, for speaker 0. Shapes: (B, d', T), (B, T) -> (B, N)."""
    speaker = torch.zeros(len(f0), 1, dtype=torch.long, device=f0.device)
    harmonics = network.dec.m_source.l_linear.in_features
    sines = so_vits_network.excitation(f0.cpu(), hop_of(network), int(network.sampling_rate), harmonics, rng).to(
        f0.device
    )
    return so_vits_network.decode(network.dec, z, sines, network.emb_g(speaker).transpose(1, 2))


@dataclass(frozen=True)
class Batch:
    """Content (B, d, T), F0 (B, T), audio (B, T * hop), noise (B, d', T), and the decoder window's start."""

    content: Tensor
    f0: Tensor
    audio: Tensor
    noise: Tensor
    first: int


def draw(
    utterances: Sequence[Utterance], settings: VoiceTrainingSettings, latent: int, step: int, hop: int
) -> tuple[Batch, torch.Generator]:
    """The batch of a step, a function of seed and step, and the random generator for its excitation."""
    rng = np.random.default_rng([settings.seed, step])
    noise_rng = torch.Generator().manual_seed(torch_seed(settings.seed, step))
    share = np.array([len(u.f0_hz) for u in utterances], np.float64)
    first = int(rng.integers(settings.context - settings.window + 1))
    contents, pitches, audios = [], [], []
    for index in rng.choice(len(utterances), settings.batch, p=share / share.sum()):
        chosen = utterances[int(index)]
        start = int(rng.integers(max(len(chosen.f0_hz) - settings.context, 0) + 1))
        short = max(settings.context - len(chosen.f0_hz), 0)
        take = slice(start, start + settings.context)
        features = chosen.contents[int(rng.integers(len(chosen.contents)))][take].float()
        contents.append(functional.pad(features, (0, 0, 0, short)))
        pitches.append(torch.from_numpy(np.pad(chosen.f0_hz[take], (0, short))))
        audio = chosen.audio[start * hop : (start + settings.context) * hop]
        audios.append(torch.from_numpy(np.pad(audio, (0, short * hop))))
    noise = torch.randn(settings.batch, latent, settings.context, generator=noise_rng) * settings.noise_scale
    batch = Batch(torch.stack(contents).transpose(1, 2), torch.stack(pitches), torch.stack(audios), noise, first)
    return batch, noise_rng


class SmallVoiceTraining(solver.Training[so_vits_network.Network]):
    """A generator with a mel head and a discriminator for the solver."""

    def __init__(
        self,
        network: so_vits_network.Network,
        utterances: Sequence[Utterance],
        settings: VoiceTrainingSettings,
        device: str,
        should_stop: ShouldStop,
    ) -> None:
        self.network, self.utterances, self.settings, self.device = network.to(device), utterances, settings, device
        self.should_stop = should_stop
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            mel_head, discriminator = nn.Conv1d(int(network.inter_channels), MELS, 1), SpectrogramDiscriminator()
        self.mel_head, self.discriminator = mel_head.to(device), discriminator.to(device)
        trained = [p for name, p in network.named_parameters() if not name.startswith(so_vits_network.UNUSED)]
        trained += list(self.mel_head.parameters())
        generator = torch.optim.AdamW(trained, settings.learning_rate, betas=(0.8, 0.99), weight_decay=1e-3)
        discriminator_optimizer = torch.optim.AdamW(self.discriminator.parameters(), 4e-4, betas=(0.8, 0.99))
        self.optimizations = {
            "generator": solver.Optimization(generator, schedule=self._schedule, clipped=trained),
            "discriminator": solver.Optimization(discriminator_optimizer),
        }

    def parts(self) -> dict[str, solver.Stateful]:
        return {"mel_head": self.mel_head, "discriminator": self.discriminator}

    def validate(self, step: int, averaged: nn.Module) -> solver.Validation:
        return solver.Validation(stop=self.should_stop(self.network, step))

    def step(self, progress: solver.Progress) -> dict[str, float]:
        """One step of the generator, and of the discriminator from its first step on. Returns the losses."""
        network, settings, hop = self.network, self.settings, hop_of(self.network)
        batch, rng = draw(self.utterances, settings, int(network.inter_channels), progress.step, hop)
        f0, reference = batch.f0.to(self.device), batch.audio.to(self.device)
        speaker = torch.zeros(len(f0), 1, dtype=torch.long, device=self.device)
        content, noise = batch.content.to(self.device), batch.noise.to(self.device)
        z = so_vits_network.latents(network, content, f0, f0 > 0, speaker, noise)
        rate = int(network.sampling_rate)
        latent_mel = (self.mel_head(z) - log_mel(reference, rate, hop)).abs().mean()
        total, losses = latent_mel, {"latent_mel": latent_mel}
        if progress.step >= settings.decoder_from:
            window = slice(batch.first, batch.first + settings.window)
            synthesis = synthesise(network, z[:, :, window], f0[:, window], rng)
            reference = reference[:, batch.first * hop : (batch.first + settings.window) * hop]
            synthesis = match_loudness(synthesis, reference, rate)
            spectral, mel = spectral_loss(synthesis, reference, rate)
            losses |= {"spectral": spectral, "mel": mel}
            total = total + spectral + 1.5 * mel
            if progress.step >= settings.discriminator_from:
                losses |= self._adversarial_losses(synthesis, reference)
                total = total + losses["adversarial"] * 0.25 + losses["feature_matching"] * 0.5
        self.optimizations["generator"].minimize(total)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _adversarial_losses(self, synthesis: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """A step of the discriminator (least squares), then the generator's adversarial and feature-matching losses."""
        real, fake = self.discriminator(reference), self.discriminator(synthesis.detach())
        discriminator_loss = synthesis.new_zeros(())
        for r, f in zip(real, fake, strict=True):
            discriminator_loss = discriminator_loss + ((1 - r[-1]) ** 2).mean() + (f[-1] ** 2).mean()
        self.optimizations["discriminator"].minimize(discriminator_loss)
        adversarial, feature_matching = synthesis.new_zeros(()), synthesis.new_zeros(())
        real, fake = self.discriminator(reference), self.discriminator(synthesis)
        for r, f in zip(real, fake, strict=True):
            adversarial = adversarial + ((1 - f[-1]) ** 2).mean()
            for a, b in zip(r[:-1], f[:-1], strict=True):
                feature_matching = feature_matching + (a.detach() - b).abs().mean()
        return {"discriminator": discriminator_loss, "adversarial": adversarial, "feature_matching": feature_matching}

    def _schedule(self, progress: solver.Progress) -> float:
        """Linear warm-up, then cosine decay to 5 % of the peak."""
        decay = 0.05 + 0.95 * (1 + np.cos(np.pi * (progress.step / self.settings.steps))) / 2
        return float(min((progress.step + 1) / self.settings.warmup, decay))


def train(
    network: so_vits_network.Network,
    utterances: Sequence[Utterance],
    settings: VoiceTrainingSettings,
    run: solver.TrainingRun,
    should_stop: ShouldStop = never,
) -> None:
    """Train in place, resuming from the run's checkpoint; `should_stop` is called every `validate_every` steps.

    Equal seeds give equal weights on one machine, also when resumed.
    """
    training = SmallVoiceTraining(network, utterances, settings, run.device, should_stop)
    plan = solver.SolverSettings(
        settings.steps, checkpoint_every=settings.checkpoint_every, validate_every=settings.validate_every
    )
    solver.Solver(training, plan, run).train()
