"""Training of a full-size voice: so-vits-svc-fork's recipe as a plain loop that can be interrupted at any time.

A variational autoencoder with a prior conditioned on content and F0, and multi-period discriminators (Kim et al.,
"VITS", 2021). Networks and losses are the fork's; the loop, its batches and checkpoints are ours. The fork draws from
torch's global random state (latents, segments, dropout, excitation noise), so each step seeds that state from the seed
and its own number and restores it: a checkpoint needs no random state, and a resumed run gives the same weights as an
uninterrupted one. All is in float32, without a gradient scaler; the learning rate is a function of the epoch.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.conversion.engines import so_vits_network
from models.conversion.engines.so_vits import interpolate_unvoiced
from models.conversion.training.run import LossMeans, TrainingRun
from models.conversion.training.settings import FullTraining
from models.conversion.training.voice_dataset import Utterance
from models.core.errors import BadInput

from so_vits_svc_fork.hparams import HParams  # isort: skip  # after networks
from so_vits_svc_fork.modules import commons, losses, mel_processing  # isort: skip

# the fork calls torch.stft with return_complex=False, deprecated but present in the pinned torch
warnings.filterwarnings("ignore", r"stft with return_complex=False is deprecated", UserWarning)

MAX_FRAMES = 800
"""Longest utterance in a batch, as in the fork; attention is quadratic in it."""
REPORT_EVERY = 25


@dataclass(frozen=True)
class Batch:
    """Content (B, d, T), interpolated F0 in hertz and voicing (B, T), audio (B, T * hop), frames (B,)."""

    content: Tensor
    f0: Tensor
    voiced: Tensor
    audio: Tensor
    frames: Tensor

    def to(self, device: str) -> "Batch":
        return Batch(*(getattr(self, name).to(device) for name in ("content", "f0", "voiced", "audio", "frames")))


def steps_per_epoch(utterances: int, settings: FullTraining) -> int:
    """Batches an epoch."""
    return -(-utterances // settings.batch_size)


def draw(utterances: Sequence[Utterance], settings: FullTraining, step: int, hop: int) -> Batch:
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


_SAVED = {
    "generator": "generator",
    "discriminators": "judge",
    "optimiser": "optimiser",
    "discriminator_optimiser": "judging",
}
"""Parts of a session, and their keys in a checkpoint."""


@dataclass
class Session:
    """What a checkpoint holds: both networks, both optimisers, and the steps done."""

    generator: so_vits_network.Network
    discriminators: so_vits_network.Network
    optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    step: int = 0

    @staticmethod
    def begin(
        generator: so_vits_network.Network, discriminators: so_vits_network.Network, settings: FullTraining
    ) -> "Session":
        """The session at step 0."""
        betas, decay = (settings.beta1, settings.beta2), settings.weight_decay
        optimiser, discriminator_optimiser = (
            torch.optim.AdamW(network.parameters(), settings.learning_rate, betas, eps=1e-9, weight_decay=decay)
            for network in (generator, discriminators)
        )
        return Session(generator, discriminators, optimiser, discriminator_optimiser)

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {key: getattr(self, name).state_dict() for name, key in _SAVED.items()}
        with open(path.with_suffix(".part"), "wb") as file:
            torch.save({**state, "step": self.step}, file)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Resume from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        for name, key in _SAVED.items():
            getattr(self, name).load_state_dict(state[key])
        self.step = int(state["step"])


def train(
    generator: so_vits_network.Network,
    discriminators: so_vits_network.Network,
    utterances: Sequence[Utterance],
    config: dict[str, Any],
    settings: FullTraining,
    run: TrainingRun,
) -> None:
    """Train both in place, resuming from the run's checkpoint; `run.should_stop` is called every `check_every` epochs.

    Equal seeds give equal weights on one CPU, also when resumed. Raises `BadInput` for a loss that is not finite.
    """
    epoch = steps_per_epoch(len(utterances), settings)
    session = Session.begin(generator.to(run.device).train(), discriminators.to(run.device).train(), settings)
    if run.checkpoint.is_file():
        session.load(run.checkpoint)
    every, last = settings.check_every * epoch, settings.epochs * epoch
    params: Any = HParams(**config)
    mel_processing.mel_basis.clear()  # the fork caches filters by their top frequency alone, whatever the rate
    means = LossMeans()

    def due() -> bool:
        return session.step > 0 and session.step in (last, session.step // every * every)

    done = due() and run.should_stop(generator, session.step)
    while session.step < last and not done:
        run.watch.at(session.step / last)
        batch = draw(utterances, settings, session.step, params.data.hop_length).to(run.device)
        rate = settings.learning_rate * settings.lr_decay ** (session.step // epoch)
        means.add(_step(session, batch, params, rate, settings.seed * 1_000_003 + session.step))
        session.step += 1
        if session.step % REPORT_EVERY == 0 or session.step == last:
            run.report(means.row(session.step))
        if session.step % settings.checkpoint_every == 0 or due():
            session.save(run.checkpoint)
        done = due() and run.should_stop(generator, session.step)
    generator.eval()


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global random state set from a seed, and restored afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _step(session: Session, batch: Batch, params: Any, learning_rate: float, seed: int) -> dict[str, float]:
    """One step of the generator and one of the discriminators at a learning rate. Returns the losses."""
    for group in (*session.optimiser.param_groups, *session.discriminator_optimiser.param_groups):
        group["lr"] = learning_rate
    with _seeded(seed, batch.audio.device):
        generator_losses, synthesis, reference = _losses(session, batch, params)
    if not torch.isfinite(generator_losses["total"]):
        raise BadInput(f"Training diverged at step {session.step}: a loss is no number; lower the learning rate.")
    session.optimiser.zero_grad(set_to_none=True)
    generator_losses["total"].backward()  # type: ignore[no-untyped-call]
    session.optimiser.step()
    session.discriminators.requires_grad_(True)
    real, fake, _, _ = session.discriminators(reference, synthesis.detach())
    discriminator_loss, _, _ = losses.discriminator_loss(real, fake)
    session.discriminator_optimiser.zero_grad(set_to_none=True)
    discriminator_loss.backward()
    session.discriminator_optimiser.step()
    all_losses = generator_losses | {"discriminator": discriminator_loss}
    return {name: float(value.detach()) for name, value in all_losses.items()}


def _losses(session: Session, batch: Batch, params: Any) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The generator's losses by name, its synthesis and the reference, both (B, 1, segment)."""
    hop, segment = params.data.hop_length, params.train.segment_size
    speaker = torch.zeros(len(batch.frames), 1, dtype=torch.long, device=batch.audio.device)
    spectrum = mel_processing.spectrogram_torch(batch.audio, params)  # (B, bins, T)
    try:
        synthesis, _, first, mask, (_, z_p, m_p, logs_p, _, logs_q), predicted_f0, _, f0 = session.generator(
            batch.content, batch.f0, batch.voiced, spectrum, speaker, batch.frames, batch.frames
        )
    except SystemExit as error:  # the fork exits on an F0 that is not finite
        raise BadInput(f"Training diverged at step {session.step}: the pitch is not a number.") from error
    mels = mel_processing.spec_to_mel_torch(spectrum, params)
    reference_mel = commons.slice_segments(mels, first, segment // hop)
    reference = commons.slice_segments(batch.audio[:, None], first * hop, segment)[..., : synthesis.shape[-1]]
    session.discriminators.requires_grad_(False)
    _, scores, real, fake = session.discriminators(reference, synthesis)
    synthesis_mel = mel_processing.mel_spectrogram_torch(synthesis[:, 0], params)
    by_name = {
        "mel": functional.l1_loss(reference_mel[..., : synthesis_mel.shape[-1]], synthesis_mel) * params.train.c_mel,
        "kl": losses.kl_loss(z_p, logs_q, m_p, logs_p, mask) * params.train.c_kl,
        "pitch": functional.mse_loss(predicted_f0, f0),
        "adversarial": losses.generator_loss(scores)[0],
        "feature_matching": losses.feature_loss(real, fake),
    }
    return by_name | {"total": torch.stack(list(by_name.values())).sum()}, synthesis, reference
