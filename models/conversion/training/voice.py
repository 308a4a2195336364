"""Training of a small so-vits-svc voice on a CPU, along the path used in conversion.

The fork trains a variational autoencoder with a discriminator of 46.7 M parameters, 13 s a step on a CPU. Here content
and F0 go through the prior, the flow and the decoder as in conversion; the loss is multi-resolution spectral and mel,
in the last part also adversarial with a small spectrogram discriminator. A linear head predicts the recording's mel
frames from the latents throughout: without it the decoder learns to ignore them, and the content with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.conversion.engines import so_vits_network
from models.conversion.training.losses import MELS, SpectrogramDiscriminator, log_mel, match_loudness, spectral_loss
from models.conversion.training.run import LossMeans, TrainingRun
from models.conversion.training.settings import VoiceTraining
from models.conversion.training.voice_dataset import Utterance


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
    utterances: Sequence[Utterance], settings: VoiceTraining, latent: int, step: int, hop: int
) -> tuple[Batch, torch.Generator]:
    """The batch of a step, a function of seed and step, and the random generator for its excitation."""
    rng = np.random.default_rng([settings.seed, step])
    noise_rng = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
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


_SAVED = {
    "network": "network",
    "mel_head": "reader",
    "discriminator": "judge",
    "optimiser": "optimiser",
    "discriminator_optimiser": "judging",
}
"""Parts of a session, and their keys in a checkpoint."""


@dataclass
class _Session:
    """What a checkpoint holds, and `trained`, the parameters of `optimiser`."""

    network: so_vits_network.Network
    mel_head: nn.Module
    discriminator: SpectrogramDiscriminator
    optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    trained: list[nn.Parameter]
    step: int = 0

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {key: getattr(self, name).state_dict() for name, key in _SAVED.items()}
        torch.save({**state, "step": self.step}, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        for name, key in _SAVED.items():
            getattr(self, name).load_state_dict(state[key])
        self.step = int(state["step"])


def train(
    network: so_vits_network.Network, utterances: Sequence[Utterance], settings: VoiceTraining, run: TrainingRun
) -> None:
    """Train in place, resuming from the run's checkpoint; `run.should_stop` is called after each checkpoint.

    Equal seeds give equal weights on one machine, also when resumed.
    """
    session = _begin(network, settings, run.device)
    if run.checkpoint.is_file():
        session.load(run.checkpoint)
    means = LossMeans()
    while session.step < settings.steps:
        run.watch.at(session.step / settings.steps)
        means.add(_step(session, utterances, settings, run.device))
        session.step += 1
        if session.step % 25 == 0:
            run.report(means.row(session.step))
        if session.step % settings.checkpoint_every == 0 or session.step == settings.steps:
            session.save(run.checkpoint)
            if run.should_stop(network, session.step):
                break
    network.eval()


def _begin(network: so_vits_network.Network, settings: VoiceTraining, device: str) -> _Session:
    """The session at step 0: the network in training mode, a mel head, a discriminator, and their optimisers."""
    network.to(device).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        mel_head, discriminator = nn.Conv1d(int(network.inter_channels), MELS, 1), SpectrogramDiscriminator()
    mel_head, discriminator = mel_head.to(device), discriminator.to(device)
    trained = [p for name, p in network.named_parameters() if not name.startswith(so_vits_network.UNUSED)]
    trained += list(mel_head.parameters())
    return _Session(
        network,
        mel_head,
        discriminator,
        torch.optim.AdamW(trained, settings.learning_rate, betas=(0.8, 0.99), weight_decay=1e-3),
        torch.optim.AdamW(discriminator.parameters(), 4e-4, betas=(0.8, 0.99)),
        trained,
    )


def _step(session: _Session, utterances: Sequence[Utterance], settings: VoiceTraining, device: str) -> dict[str, float]:
    """One step of the generator, and of the discriminator from its first step on. Returns the losses."""
    network, rate = session.network, int(session.network.sampling_rate)
    hop = hop_of(network)
    _set_learning_rate(session, settings)
    batch, rng = draw(utterances, settings, int(network.inter_channels), session.step, hop)
    f0, reference = batch.f0.to(device), batch.audio.to(device)
    speaker = torch.zeros(len(f0), 1, dtype=torch.long, device=device)
    z = so_vits_network.latents(network, batch.content.to(device), f0, f0 > 0, speaker, batch.noise.to(device))
    latent_mel = (session.mel_head(z) - log_mel(reference, rate, hop)).abs().mean()
    total, losses = latent_mel, {"latent_mel": latent_mel}
    if session.step >= settings.decoder_from:
        window = slice(batch.first, batch.first + settings.window)
        synthesis = synthesise(network, z[:, :, window], f0[:, window], rng)
        reference = reference[:, batch.first * hop : (batch.first + settings.window) * hop]
        synthesis = match_loudness(synthesis, reference, rate)
        spectral, mel = spectral_loss(synthesis, reference, rate)
        losses |= {"spectral": spectral, "mel": mel}
        total = total + spectral + 1.5 * mel
        if session.step >= settings.discriminator_from:
            losses |= _adversarial_losses(session, synthesis, reference)
            total = total + losses["adversarial"] * 0.25 + losses["feature_matching"] * 0.5
    session.optimiser.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(session.trained, 1.0)
    session.optimiser.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def _set_learning_rate(session: _Session, settings: VoiceTraining) -> None:
    """Linear warm-up, then cosine decay to 5 % of the peak."""
    done = session.step / settings.steps
    factor = min((session.step + 1) / settings.warmup, 0.05 + 0.95 * (1 + np.cos(np.pi * done)) / 2)
    for group in session.optimiser.param_groups:
        group["lr"] = settings.learning_rate * float(factor)


def _adversarial_losses(session: _Session, synthesis: Tensor, reference: Tensor) -> dict[str, Tensor]:
    """A step of the discriminator (least squares), then the generator's adversarial and feature-matching losses."""
    real, fake = session.discriminator(reference), session.discriminator(synthesis.detach())
    discriminator_loss = synthesis.new_zeros(())
    for r, f in zip(real, fake, strict=True):
        discriminator_loss = discriminator_loss + ((1 - r[-1]) ** 2).mean() + (f[-1] ** 2).mean()
    session.discriminator_optimiser.zero_grad(set_to_none=True)
    discriminator_loss.backward()  # type: ignore[no-untyped-call]
    session.discriminator_optimiser.step()
    adversarial, feature_matching = synthesis.new_zeros(()), synthesis.new_zeros(())
    real, fake = session.discriminator(reference), session.discriminator(synthesis)
    for r, f in zip(real, fake, strict=True):
        adversarial = adversarial + ((1 - f[-1]) ** 2).mean()
        for a, b in zip(r[:-1], f[:-1], strict=True):
            feature_matching = feature_matching + (a.detach() - b).abs().mean()
    return {"discriminator": discriminator_loss, "adversarial": adversarial, "feature_matching": feature_matching}
