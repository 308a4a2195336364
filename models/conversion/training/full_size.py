"""Training a full-size voice: so-vits-svc-fork's recipe as a plain loop that can be stopped at any time.

A variational autoencoder whose prior hears content and pitch, and discriminators at several periods that judge what it
decodes (Kim et al., "VITS", 2021). Networks and losses are the fork's; the loop, its batches and its checkpoints are
ours. The fork draws from torch's global random state (latents, segments, dropout, the source's noise), so each step
sets that state from the seed and its own number and puts it back: a checkpoint needs to hold none, and going on from
one gives the very weights that an undisturbed run gives. All is in float32, so there is no scaler either, and the
learning rate follows from the epoch.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.conversion.engines import so_vits_network
from models.conversion.engines.so_vits import interpolated
from models.conversion.training.settings import FullTraining
from models.conversion.training.voice_dataset import Utterance
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch

from so_vits_svc_fork.hparams import HParams  # isort: skip  # after networks
from so_vits_svc_fork.modules import commons, losses, mel_processing  # isort: skip

# the fork asks for spectra in a form that torch means to give up; the pinned torch still has it
warnings.filterwarnings("ignore", r"stft with return_complex=False is deprecated", UserWarning)

MOST_FRAMES = 800
"""Of a piece in a batch, as in the fork; attention grows with the square."""
REPORTED_EVERY = 25


@dataclass(frozen=True)
class Batch:
    """Content (B, d, T), pitch without gaps in hertz and voicing of 0 and 1 (B, T), audio (B, T * hop), frames (B,)."""

    content: Tensor
    f0: Tensor
    voiced: Tensor
    audio: Tensor
    frames: Tensor

    def to(self, device: str) -> "Batch":
        return Batch(*(getattr(self, name).to(device) for name in ("content", "f0", "voiced", "audio", "frames")))


def steps_an_epoch(pieces: int, settings: FullTraining) -> int:
    """How many batches hear every piece once."""
    return -(-pieces // settings.batch_size)


def draw(utterances: Sequence[Utterance], settings: FullTraining, step: int, hop: int) -> Batch:
    """The batch of a step, the same for the same seed and step; pieces are padded to the longest."""
    epoch, place = divmod(step, steps_an_epoch(len(utterances), settings))
    order = np.random.default_rng([settings.seed, epoch]).permutation(len(utterances))
    rng = np.random.default_rng([settings.seed, epoch, place])
    cut = [_cut(utterances[int(i)], rng, hop) for i in order[place * settings.batch_size :][: settings.batch_size]]
    longest = max(len(piece.f0_hz) for piece in cut)
    short = [longest - len(piece.f0_hz) for piece in cut]
    return Batch(
        torch.stack([functional.pad(p.contents[0].float().T, (0, s)) for p, s in zip(cut, short, strict=True)]),
        torch.stack([torch.from_numpy(np.pad(interpolated(p.f0_hz), (0, s))) for p, s in zip(cut, short, strict=True)]),
        torch.stack([torch.from_numpy(np.pad(p.f0_hz > 0, (0, s))).float() for p, s in zip(cut, short, strict=True)]),
        torch.stack([torch.from_numpy(np.pad(p.audio, (0, s * hop))) for p, s in zip(cut, short, strict=True)]),
        torch.tensor([len(piece.f0_hz) for piece in cut]),
    )


def _cut(whole: Utterance, rng: np.random.Generator, hop: int) -> Utterance:
    """At most `MOST_FRAMES` of a piece, in one of its contents."""
    heard = whole.contents[int(rng.integers(len(whole.contents)))]
    start = int(rng.integers(max(len(whole.f0_hz) - MOST_FRAMES, 0) + 1))
    take = slice(start, start + MOST_FRAMES)
    return Utterance(whole.audio[start * hop : (start + MOST_FRAMES) * hop], whole.f0_hz[take], (heard[take],))


_SAVED = ("generator", "judge", "optimiser", "judging")


@dataclass
class Session:
    """Everything that a checkpoint holds: both networks, both optimisers, and how many steps were made."""

    generator: so_vits_network.Network
    judge: so_vits_network.Network
    optimiser: torch.optim.Optimizer
    judging: torch.optim.Optimizer
    step: int = 0

    @staticmethod
    def begin(generator: so_vits_network.Network, judge: so_vits_network.Network, settings: FullTraining) -> "Session":
        """Nothing learned yet."""
        betas, decay = (settings.beta1, settings.beta2), settings.weight_decay
        optimiser, judging = (
            torch.optim.AdamW(network.parameters(), settings.learning_rate, betas, eps=1e-9, weight_decay=decay)
            for network in (generator, judge)
        )
        return Session(generator, judge, optimiser, judging)

    def save(self, path: Path) -> None:
        """Write a checkpoint that is there whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: getattr(self, name).state_dict() for name in _SAVED}
        with open(path.with_suffix(".part"), "wb") as file:
            torch.save({**state, "step": self.step}, file)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        for name in _SAVED:
            getattr(self, name).load_state_dict(state[name])
        self.step = int(state["step"])


def train(
    generator: so_vits_network.Network,
    judge: so_vits_network.Network,
    utterances: Sequence[Utterance],
    config: dict[str, Any],
    settings: FullTraining,
    folder: Path,
    report: Callable[[dict[str, float]], None],
    watch: Watch = UNWATCHED,
    device: str = "cpu",
    enough: Callable[[so_vits_network.Network, int], bool] = lambda network, step: False,
) -> None:
    """Train both in place, from the last checkpoint in `folder` if there is one; `report` hears the mean losses.

    `enough(network, step)` is asked after every `check_every` epochs whether to stop early. Equal seeds give equal
    weights on one CPU, also across a stop. Raises `BadInput` where a loss is no number any more.
    """
    checkpoint, epoch = folder / "checkpoint.pt", steps_an_epoch(len(utterances), settings)
    session = Session.begin(generator.to(device).train(), judge.to(device).train(), settings)
    if checkpoint.is_file():
        session.load(checkpoint)
    every, last = settings.check_every * epoch, settings.epochs * epoch
    shape: Any = HParams(**config)
    mel_processing.mel_basis.clear()  # the fork keeps filters by their top frequency alone, whatever the rate
    means: dict[str, list[float]] = {}

    def checked() -> bool:
        return session.step > 0 and session.step in (last, session.step // every * every)

    done = checked() and enough(generator, session.step)
    while session.step < last and not done:
        watch.at(session.step / last)
        batch = draw(utterances, settings, session.step, shape.data.hop_length).to(device)
        speed = settings.learning_rate * settings.lr_decay ** (session.step // epoch)
        for name, value in _step(session, batch, shape, speed, settings.seed * 1_000_003 + session.step).items():
            means.setdefault(name, []).append(value)
        session.step += 1
        if session.step % REPORTED_EVERY == 0 or session.step == last:
            report({"step": session.step, **{name: float(np.mean(values)) for name, values in means.items()}})
            means.clear()
        if session.step % settings.checkpoint_every == 0 or checked():
            session.save(checkpoint)
        done = checked() and enough(generator, session.step)
    generator.eval()


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global random state set from a seed, and as it was afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _step(session: Session, batch: Batch, shape: Any, speed: float, seed: int) -> dict[str, float]:
    """One step of the generator and one of the discriminators at a learning rate. Returns the losses."""
    for group in (*session.optimiser.param_groups, *session.judging.param_groups):
        group["lr"] = speed
    with _seeded(seed, batch.audio.device):
        found, sung, wanted = _losses(session, batch, shape)
    if not torch.isfinite(found["total"]):
        raise BadInput(f"Training came apart at step {session.step}: a loss is no number; lower the learning rate.")
    session.optimiser.zero_grad(set_to_none=True)
    found["total"].backward()  # type: ignore[no-untyped-call]
    session.optimiser.step()
    session.judge.requires_grad_(True)
    real, fake, _, _ = session.judge(wanted, sung.detach())
    judging, _, _ = losses.discriminator_loss(real, fake)
    session.judging.zero_grad(set_to_none=True)
    judging.backward()
    session.judging.step()
    return {name: float(value.detach()) for name, value in (found | {"judging": judging}).items()}


def _losses(session: Session, batch: Batch, shape: Any) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The generator's losses by name, with what it sang and what was wanted, both (B, 1, segment)."""
    hop, segment = shape.data.hop_length, shape.train.segment_size
    speaker = torch.zeros(len(batch.frames), 1, dtype=torch.long, device=batch.audio.device)
    spectrum = mel_processing.spectrogram_torch(batch.audio, shape)  # (B, bins, T)
    try:
        sung, _, first, mask, (_, z_p, m_p, logs_p, _, logs_q), told, _, pitch = session.generator(
            batch.content, batch.f0, batch.voiced, spectrum, speaker, batch.frames, batch.frames
        )
    except SystemExit as error:  # the fork's answer to a pitch that is no number
        raise BadInput(f"Training came apart at step {session.step}: the pitch is no number.") from error
    mels = mel_processing.spec_to_mel_torch(spectrum, shape)
    wanted_mel = commons.slice_segments(mels, first, segment // hop)
    wanted = commons.slice_segments(batch.audio[:, None], first * hop, segment)[..., : sung.shape[-1]]
    session.judge.requires_grad_(False)
    _, scores, real, fake = session.judge(wanted, sung)
    sung_mel = mel_processing.mel_spectrogram_torch(sung[:, 0], shape)
    found = {
        "mel": functional.l1_loss(wanted_mel[..., : sung_mel.shape[-1]], sung_mel) * shape.train.c_mel,
        "kl": losses.kl_loss(z_p, logs_q, m_p, logs_p, mask) * shape.train.c_kl,
        "pitch": functional.mse_loss(told, pitch),
        "fooling": losses.generator_loss(scores)[0],
        "features": losses.feature_loss(real, fake),
    }
    return found | {"total": torch.stack(list(found.values())).sum()}, sung, wanted
