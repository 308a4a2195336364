"""Training a small so-vits-svc voice on a CPU: the generator along the path that it is used on.

The fork trains a variational autoencoder beside a 46.7 M discriminator, 13 s a step on a CPU. Here content and pitch go
through the prior, the flow and the decoder as in converting, and the result is compared with the recording by
multi-resolution spectra (Yamamoto et al., "Parallel WaveGAN", 2020) and mel frames; in the last part, small networks on
spectrograms judge it too (Jang et al., "UnivNet", 2021). All along, a linear layer must read the recording's mel frames
off the latents: without it the decoder first learns to do without them, and the content never comes through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.progress import UNWATCHED, Watch
from models.so_vits_svc import networks
from models.so_vits_svc.encoder_training import mel_filters
from models.so_vits_svc.training import VoiceTraining
from models.so_vits_svc.voice_corpus import Utterance

MELS = 80
RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512))


def small_config(speaker: str, ssl_dim: int = 128) -> dict[str, Any]:
    """A fork's config of the small voice: 22.05 kHz, hop 256, NSF HiFi-GAN of 128 channels, hidden 96."""
    return {
        "train": {"segment_size": 8192},
        "data": {
            "sampling_rate": 22050,
            "filter_length": 1024,
            "hop_length": 256,
            "win_length": 1024,
            "n_mel_channels": 80,
            "mel_fmin": 0.0,
            "mel_fmax": 11025,
            "contentvec_final_proj": False,
        },
        "model": {
            "inter_channels": 96,
            "hidden_channels": 96,
            "filter_channels": 256,
            "n_heads": 2,
            "n_layers": 3,
            "kernel_size": 3,
            "p_dropout": 0.0,
            "resblock": "2",
            "resblock_kernel_sizes": [3, 7],
            "resblock_dilation_sizes": [[1, 3], [1, 3]],
            "upsample_rates": [8, 8, 4],
            "upsample_initial_channel": 128,
            "upsample_kernel_sizes": [16, 16, 8],
            "gin_channels": 64,
            "ssl_dim": ssl_dim,
            "n_speakers": 1,
            "type_": "hifi-gan",
        },
        "spk": {speaker: 0},
    }


def debug_config(ssl_dim: int = 16) -> dict[str, Any]:
    """The small voice at a size for tests: its rates and kinds of layer, 8 channels."""
    config = small_config("nobody", ssl_dim)
    config["model"] |= {
        "inter_channels": 8,
        "hidden_channels": 8,
        "filter_channels": 16,
        "n_layers": 1,
        "upsample_initial_channel": 16,
        "gin_channels": 4,
    }
    return config


def fresh(config: dict[str, Any], seed: int) -> networks.Network:
    """An untrained generator, started so that a short training suffices.

    Its source module makes a pulse, rich in harmonics, of the sine it is given. The pitch embedding is small and smooth
    and the content strong, since the fork's unit noise for each of 256 pitches drowns the content for long; the latent
    noise starts small, and what the decoder is told weighs as much as what it hears from the source.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = networks.build(config)
    source, prior = network.dec.m_source.l_linear, network.enc_p
    pitches, width = prior.f0_emb.weight.shape
    phase = torch.linspace(0, np.pi, pitches)[:, None] * torch.arange(width) / 8
    with torch.no_grad():
        source.weight.zero_()
        source.weight[0, 0] = 120.0
        source.bias.fill_(5.0)
        prior.f0_emb.weight.copy_(0.3 * torch.cos(phase))
        network.emb_uv.weight.mul_(0.3)
        network.pre.weight.mul_(2.0)
        prior.proj.bias[prior.out_channels :] = -2.0
        for layer in (network.dec.conv_pre, *network.dec.ups):
            layer.weight_g.mul_(2.0)
    return network


class Judge(nn.Module):
    """Tells recordings from syntheses by their spectrograms at two resolutions. Shape: (B, N) -> maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, 16, (9, 3), (2, 1), (4, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(16, 24, (9, 3), (3, 1), (4, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(24, 32, (9, 3), (3, 2), (4, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(32, 1, 3, 1, 1),
            )
            for _ in range(2)
        )

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """The maps after each nonlinearity and the verdict, for each resolution."""
        found = []
        for stack, (fft, hop) in zip(self.stacks, ((1024, 256), (512, 128)), strict=True):
            x = (spectrum(audio, fft, hop) + 1e-4).log()[:, None]
            maps = []
            for layer in stack.children():
                x = layer(x)
                maps.append(x)
            found.append(maps[1::2] + maps[-1:])
        return found


def spectrum(audio: Tensor, fft: int, hop: int) -> Tensor:
    """The magnitude of the short-time spectrum. Shape: (B, N) -> (B, fft // 2 + 1, T)."""
    window = torch.hann_window(fft, device=audio.device)
    return torch.stft(audio, fft, hop, window=window, return_complex=True).abs()


def spectral_loss(sung: Tensor, wanted: Tensor, rate: int) -> tuple[Tensor, Tensor]:
    """Multi-resolution spectral convergence plus log magnitude, and the distance of log-mel frames."""
    spectral = sung.new_zeros(())
    mel = sung.new_zeros(())
    for fft, hop in RESOLUTIONS:
        ours, theirs = spectrum(sung, fft, hop), spectrum(wanted, fft, hop)
        spectral = spectral + (ours - theirs).norm() / theirs.norm().clamp(min=1e-3)
        spectral = spectral + ((ours + 1e-3).log() - (theirs + 1e-3).log()).abs().mean()
        if fft == 1024:
            filters = mel_filters(fft // 2 + 1, rate, 80, rate / 2).to(sung.device)
            mel = ((filters @ ours + 1e-3).log() - (filters @ theirs + 1e-3).log()).abs().mean()
    return spectral / len(RESOLUTIONS), mel


def log_mel(audio: Tensor, rate: int, hop: int) -> Tensor:
    """Log-mel frames centred at (i + 0.5) * hop samples. Shape: (B, T * hop) -> (B, mels, T)."""
    fft = 1024
    padded = functional.pad(audio, ((fft - hop) // 2, (fft - hop) // 2))
    window = torch.hann_window(fft, device=audio.device)
    magnitude = torch.stft(padded, fft, hop, window=window, center=False, return_complex=True).abs()
    return (mel_filters(fft // 2 + 1, rate, MELS, rate / 2).to(audio.device) @ magnitude + 1e-3).log()


def hop_of(network: networks.Network) -> int:
    """How many samples a frame makes."""
    return int(np.prod(network.upsample_rates))


def synthesise(network: networks.Network, z: Tensor, f0: Tensor, rng: torch.Generator) -> Tensor:
    """What the network sings of latents and pitch, the first speaker's. Shapes: (B, d', T), (B, T) -> (B, N)."""
    speaker = torch.zeros(len(f0), 1, dtype=torch.long, device=f0.device)
    harmonics = network.dec.m_source.l_linear.in_features
    sines = networks.excitation(f0.cpu(), hop_of(network), int(network.sampling_rate), harmonics, rng).to(f0.device)
    return networks.decode(network.dec, z, sines, network.emb_g(speaker).transpose(1, 2))


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

    network: networks.Network
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
    network: networks.Network,
    utterances: Sequence[Utterance],
    settings: VoiceTraining,
    folder: Path,
    report: Callable[[dict[str, float]], None],
    watch: Watch = UNWATCHED,
    device: str = "cpu",
) -> None:
    """Train in place, from the last checkpoint in `folder` if there is one; `report` hears the mean losses.

    Equal seeds give equal weights on one machine, also across a stop.
    """
    network.to(device).train()
    reader, judge = _fresh_aids(int(network.inter_channels), settings.seed)
    reader, judge = reader.to(device), judge.to(device)
    used = [p for name, p in network.named_parameters() if not name.startswith(networks.UNUSED)]
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
    z = networks.latents(network, batch.content.to(device), f0, f0 > 0, speaker, batch.noise.to(device))
    read = (session.reader(z) - log_mel(wanted, rate, hop)).abs().mean()
    total, losses = read, {"read": read}
    if session.step >= settings.decoded_from:
        window = slice(batch.first, batch.first + settings.window)
        sung = synthesise(network, z[:, :, window], f0[:, window], rng)
        wanted = wanted[:, batch.first * hop : (batch.first + settings.window) * hop]
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
