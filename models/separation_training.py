"""The plain training loop of the mask networks: one step is one batch of fresh random mixes.

The loss is in the STFT domain: of each source's complex error, the L1 norm relative to the mixture's and the Frobenius
norm relative to the mixture's, the second being what the signal-to-distortion ratio asks for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.demucs.band_mask import BandMask, group_sizes, grouped_product, view_powers
from models.progress import UNWATCHED, Watch
from models.separation_data import Example

Draw = Callable[[np.random.Generator], Example]


@dataclass(frozen=True)
class TrainSettings:
    """`steps` in all; `batch` mixes a step; `rate` is AdamW's peak learning rate; `warm` steps to reach it.

    Mixes are drawn `fresh` batches a round, and each round goes through them `echo` times in random order, since
    drawing one costs as much as learning from it (Choi et al., "Faster Neural Network Training with Data Echoing",
    2019). The rate is constant until the last `cool` part of the steps (0..1), over which it falls to zero. `average`
    is the decay of the running average of the weights, which is what is kept. `pair` is the sources (hidden, shown) of
    which some examples know only the sum.
    """

    steps: int
    batch: int = 4
    rate: float = 1.5e-3
    warm: int = 50
    cool: float = 0.3
    average: float = 0.99
    fresh: int = 8
    echo: int = 3
    pair: tuple[int, int] = (1, 2)

    @property
    def round(self) -> int:
        """Steps in a round; a checkpoint is written after each."""
        return self.fresh * self.echo


@dataclass(frozen=True)
class Powers:
    """What the loss needs of a batch of mixes, as means over each frequency group.

    `views`: power of the mixture's left, right, mid and side, (B, 4, groups, T). `cross`: Re(X* S) of each source with
    the mixture, and `own`: |S|², both (B, S, 2, groups, T). `hidden`: (B,) bool.
    """

    views: Tensor
    cross: Tensor
    own: Tensor
    hidden: Tensor


@torch.no_grad()
def powers_of(network: BandMask, examples: Sequence[Example]) -> Powers:
    """The powers of a batch, computed a source at a time so that it stays in the processor's cache."""
    views, cross, own = [], [], []
    for example in examples:
        sources = torch.from_numpy(example.sources)
        mix = network.stft(sources.sum(dim=0))
        views.append(view_powers(mix[None])[0])
        spectra = [network.stft(source) for source in sources]
        cross.append(torch.stack([grouped_product(mix, s) for s in spectra]))
        own.append(torch.stack([grouped_product(s, s) for s in spectra]))
    hidden = torch.tensor([example.hidden for example in examples])
    return Powers(torch.stack(views), torch.stack(cross), torch.stack(own), hidden)


def loss(network: BandMask, powers: Powers, pair: tuple[int, int]) -> Tensor:
    """How far the masks are from giving the sources; where one is hidden, of `pair` only the sum counts.

    A mask M is the same in all bins of a frequency group, so there |MX - S|² = M²|X|² - 2M Re(X* S) + |S|² needs only
    the means over the group.
    """
    mix_power = powers.views[:, None, :2]  # (B, 1, 2, groups, T)
    size = torch.tensor(group_sizes(), dtype=torch.float32)
    masks = network.group_masks(powers.views)
    if bool(powers.hidden.any()):
        masks = _added(masks, powers.hidden, pair)
    error = (masks.square() * mix_power - 2 * masks * powers.cross + powers.own).clamp(min=0)
    heard = _total(mix_power, size)
    l1 = _total((error + 1e-8).sqrt(), size) / (_total(mix_power.sqrt(), size) + 1e-3)
    l2 = (_total(error, size) / (heard + 1e-3) + 1e-7).sqrt()
    return ((l1 + l2) * (heard > 1)).mean()


def _total(values: Tensor, size: Tensor) -> Tensor:
    """The sum over sides, bins and time. Shapes: (B, S, 2, groups, T), (groups,) -> (B, S)."""
    return torch.matmul(values.sum(dim=-1), size).sum(dim=-1)


def _added(masks: Tensor, hidden: Tensor, pair: tuple[int, int]) -> Tensor:
    """The masks with the pair's first added to its second where the first is hidden."""
    rows = list(masks.unbind(dim=1))
    first, second = pair
    where = hidden[:, None, None, None]
    rows[second] = torch.where(where, rows[first] + rows[second], rows[second])
    rows[first] = torch.where(where, torch.zeros_like(rows[first]), rows[first])
    return torch.stack(rows, dim=1)


def held_out_sdrs(network: BandMask, batches: Sequence[Powers], pair: tuple[int, int]) -> dict[str, float]:
    """SDR in dB of each source over fixed batches, in the STFT domain: cheap enough to watch while training."""
    was, size = network.training, torch.tensor(group_sizes(), dtype=torch.float32)
    network.eval()
    error = signal = torch.zeros(len(network.sources))
    with torch.no_grad():
        for powers in batches:
            masks = _added(network.group_masks(powers.views), powers.hidden, pair)
            wrong = masks.square() * powers.views[:, None, :2] - 2 * masks * powers.cross + powers.own
            error = error + _total(wrong, size).sum(dim=0)
            signal = signal + _total(powers.own, size).sum(dim=0)
    network.train(was)
    ratios = 10 * torch.log10((signal + 1e-9) / (error + 1e-9))
    return {name: round(float(ratio), 2) for name, ratio in zip(network.sources, ratios, strict=True)}


def train(
    network: BandMask, draw: Draw, settings: TrainSettings, seed: int, checkpoint: Path, watch: Watch = UNWATCHED
) -> Iterator[tuple[int, float]]:
    """Train `network` in place and yield (step, loss) after each step; at the end it holds the averaged weights.

    Starts from `checkpoint` where there is one and rewrites it after every round; a round depends on the seed and its
    number alone, so a run that was killed goes on as if it had not been.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.rate, betas=(0.9, 0.99), weight_decay=1e-3)
    average = {key: value.clone() for key, value in network.state_dict().items()}
    step = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        average, step = state["average"], int(state["step"])
    network.train()
    while step < settings.steps:
        for powers in _round(network, draw, settings, seed, step):
            watch.at(step / settings.steps)
            value = _learn(network, optimizer, loss(network, powers, settings.pair), settings, step)
            decay = min(settings.average, (step + 1) / (step + 10))
            for key, parameter in network.state_dict().items():
                average[key].lerp_(parameter, 1 - decay)
            step += 1
            yield step, value
        _save(checkpoint, network, optimizer, average, step)
    network.load_state_dict(average)
    network.eval()


def _round(network: BandMask, draw: Draw, settings: TrainSettings, seed: int, step: int) -> Iterator[Powers]:
    """The batches of the round that starts at `step`: the fresh ones as they are drawn, then again in random order."""
    batches = []
    for index in range(settings.fresh):
        rngs = [np.random.default_rng((seed, step + index, item)) for item in range(settings.batch)]
        batches.append(powers_of(network, [draw(rng) for rng in rngs]))
        yield batches[-1]
    order = np.random.default_rng((seed, step))
    for _ in range(settings.echo - 1):
        for index in order.permutation(settings.fresh):
            yield batches[index]


def _learn(
    network: BandMask, optimizer: torch.optim.Optimizer, value: Tensor, settings: TrainSettings, step: int
) -> float:
    """One step down the gradient; returns the loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = settings.rate * _schedule(step, settings)
    optimizer.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return value.item()


def averaged(checkpoint: Path) -> dict[str, Tensor]:
    """The averaged weights in a checkpoint, to judge them while training goes on."""
    state: dict[str, Tensor] = torch.load(checkpoint, weights_only=True)["average"]
    return state


def _schedule(step: int, settings: TrainSettings) -> float:
    left = max(settings.steps - step, 1) / max(settings.cool * settings.steps, 1)
    return min(1.0, (step + 1) / settings.warm, left)


def _save(
    path: Path, network: BandMask, optimizer: torch.optim.Optimizer, average: dict[str, Tensor], step: int
) -> None:
    part = path.with_suffix(".part")
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "average": average, "step": step}
    torch.save(state, part)
    part.replace(path)
