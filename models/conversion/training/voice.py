"""Training a small so-vits-svc voice on a CPU: the generator along the path that it is used on.

The fork trains a variational autoencoder beside a 46.7 M discriminator, 13 s a step on a CPU. Here content and pitch go
through the prior, the flow and the decoder as in converting, and the result is compared with the recording by
multi-resolution spectra and mel frames; in the last part, small networks on spectrograms judge it too. All along, a
linear layer must read the recording's mel frames off the latents: without it the decoder first learns to do without
them, and the content never comes through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.conversion.engines import so_vits_network
from models.conversion.training.losses import MELS, Judge, log_mel, spectral_loss, with_contour
from models.conversion.training.settings import VoiceTraining
from models.conversion.training.voice_dataset import Utterance
from models.core.progress import UNWATCHED, Watch


def hop_of(network: so_vits_network.Network) -> int:
    """How many samples a frame makes."""
    return int(np.prod(network.upsample_rates))


def synthesise(network: so_vits_network.Network, z: Tensor, f0: Tensor, rng: torch.Generator) -> Tensor:
    """What the network sings of latents and pitch, the first speaker's. Shapes: (B, d', T), (B, T) -> (B, N)."""
    speaker = torch.zeros(len(f0), 1, dtype=torch.long, device=f0.device)
    harmonics = network.dec.m_source.l_linear.in_features
    sines = so_vits_network.excitation(f0.cpu(), hop_of(network), int(network.sampling_rate), harmonics, rng).to(
        f0.device
    )
    return so_vits_network.decode(network.dec, z, sines, network.emb_g(speaker).transpose(1, 2))


@dataclass(frozen=True)
class Batch:
    """Content (B, d, T), pitch (B, T), audio (B, T * hop), noise (B, d', T), and where the decoder's window starts."""

    content: Tensor
    f0: Tensor
    audio: Tensor
    noise: Tensor
    first: int


def draw(
    utterances: Sequence[Utterance], settings: VoiceTraining, latent: int, step: int, hop: int
) -> tuple[Batch, torch.Generator]:
    """The batch of a step, the same for the same seed and step, and the generator for its source signal."""
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
        heard = chosen.contents[int(rng.integers(len(chosen.contents)))][take].float()
        contents.append(functional.pad(heard, (0, 0, 0, short)))
        pitches.append(torch.from_numpy(np.pad(chosen.f0_hz[take], (0, short))))
        audio = chosen.audio[start * hop : (start + settings.context) * hop]
        audios.append(torch.from_numpy(np.pad(audio, (0, short * hop))))
    noise = torch.randn(settings.batch, latent, settings.context, generator=noise_rng) * settings.noise_scale
    batch = Batch(torch.stack(contents).transpose(1, 2), torch.stack(pitches), torch.stack(audios), noise, first)
    return batch, noise_rng


_SAVED = ("network", "reader", "judge", "optimiser", "judging")


@dataclass
class _Session:
    """Everything that a checkpoint holds."""

    network: so_vits_network.Network
    reader: nn.Module
    judge: Judge
    optimiser: torch.optim.Optimizer
    judging: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: getattr(self, name).state_dict() for name in _SAVED}
        torch.save({**state, "step": self.step}, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        for name in _SAVED:
            getattr(self, name).load_state_dict(state[name])
        self.step = int(state["step"])


def train(
    network: so_vits_network.Network,
    utterances: Sequence[Utterance],
    settings: VoiceTraining,
    folder: Path,
    report: Callable[[dict[str, float]], None],
    watch: Watch = UNWATCHED,
    device: str = "cpu",
    enough: Callable[[so_vits_network.Network, int], bool] = lambda network, step: False,
) -> None:
    """Train in place, from the last checkpoint in `folder` if there is one; `report` hears the mean losses.

    `enough(network, step)` is asked after each checkpoint whether to stop early. Equal seeds give equal weights on one
    machine, also across a stop.
    """
    network.to(device).train()
    reader, judge = _fresh_aids(int(network.inter_channels), settings.seed)
    reader, judge = reader.to(device), judge.to(device)
    used = [p for name, p in network.named_parameters() if not name.startswith(so_vits_network.UNUSED)]
    used += list(reader.parameters())
    session = _Session(
        network,
        reader,
        judge,
        torch.optim.AdamW(used, settings.learning_rate, betas=(0.8, 0.99), weight_decay=1e-3),
        torch.optim.AdamW(judge.parameters(), 4e-4, betas=(0.8, 0.99)),
    )
    if (folder / "checkpoint.pt").is_file():
        session.load(folder / "checkpoint.pt")
    means: dict[str, list[float]] = {}
    while session.step < settings.steps:
        watch.at(session.step / settings.steps)
        for name, value in _step(session, utterances, settings, used, device).items():
            means.setdefault(name, []).append(value)
        session.step += 1
        if session.step % 25 == 0:
            report({"step": session.step, **{name: float(np.mean(values)) for name, values in means.items()}})
            means.clear()
        if session.step % settings.checkpoint_every == 0 or session.step == settings.steps:
            session.save(folder / "checkpoint.pt")
            if enough(network, session.step):
                break
    network.eval()


def _fresh_aids(latent: int, seed: int) -> tuple[nn.Module, Judge]:
    """What reads mel frames off the latents, and the judge."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Conv1d(latent, MELS, 1), Judge()


def _step(
    session: _Session, utterances: Sequence[Utterance], settings: VoiceTraining, used: list[nn.Parameter], device: str
) -> dict[str, float]:
    """One step of the generator, and of the judge once it takes part. Returns the losses."""
    network, rate = session.network, int(session.network.sampling_rate)
    hop = hop_of(network)
    done = session.step / settings.steps
    speed = min((session.step + 1) / settings.warmup, 0.05 + 0.95 * (1 + np.cos(np.pi * done)) / 2)
    for group in session.optimiser.param_groups:
        group["lr"] = settings.learning_rate * float(speed)
    batch, rng = draw(utterances, settings, int(network.inter_channels), session.step, hop)
    f0, wanted = batch.f0.to(device), batch.audio.to(device)
    speaker = torch.zeros(len(f0), 1, dtype=torch.long, device=device)
    z = so_vits_network.latents(network, batch.content.to(device), f0, f0 > 0, speaker, batch.noise.to(device))
    read = (session.reader(z) - log_mel(wanted, rate, hop)).abs().mean()
    total, losses = read, {"read": read}
    if session.step >= settings.decoded_from:
        window = slice(batch.first, batch.first + settings.window)
        sung = synthesise(network, z[:, :, window], f0[:, window], rng)
        wanted = wanted[:, batch.first * hop : (batch.first + settings.window) * hop]
        sung = with_contour(sung, wanted, rate)
        spectral, mel = spectral_loss(sung, wanted, rate)
        losses |= {"spectral": spectral, "mel": mel}
        total = total + spectral + 1.5 * mel
        if session.step >= settings.judged_from:
            losses |= _judged(session, sung, wanted)
            total = total + losses["fooling"] * 0.25 + losses["features"] * 0.5
    session.optimiser.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(used, 1.0)
    session.optimiser.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def _judged(session: _Session, sung: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Train the judge on a batch (least squares), then say what it makes of the synthesis."""
    real, fake = session.judge(wanted), session.judge(sung.detach())
    judging = sung.new_zeros(())
    for r, f in zip(real, fake, strict=True):
        judging = judging + ((1 - r[-1]) ** 2).mean() + (f[-1] ** 2).mean()
    session.judging.zero_grad(set_to_none=True)
    judging.backward()  # type: ignore[no-untyped-call]
    session.judging.step()
    fooling, features = sung.new_zeros(()), sung.new_zeros(())
    real, fake = session.judge(wanted), session.judge(sung)
    for r, f in zip(real, fake, strict=True):
        fooling = fooling + ((1 - f[-1]) ** 2).mean()
        for a, b in zip(r[:-1], f[:-1], strict=True):
            features = features + (a.detach() - b).abs().mean()
    return {"judging": judging, "fooling": fooling, "features": features}
