"""Train a separator: `python -m flows.training.separator --network band-mask --data DIR --midi DIR --work DIR`.

Decodes and renders the material once, trains by the plain loop, resumes after a kill, judges on the held-out song, and
writes the weights as safetensors in half precision with a picture of the curves.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prefect import flow, get_run_logger, task

from models.core.malloc import keep_freed_memory

if TYPE_CHECKING:
    from models.separation.training.loop import Learner
    from models.separation.training.multitracks import Library

NETWORKS = ("band-mask", "lead-backing", "mask-cnn")
RATES = {"band-mask": 1e-3, "lead-backing": 1e-3, "mask-cnn": 5e-4}
"""The peak learning rate of each."""
CROP_S = 4.0
EMPHASIS = {"band-mask": (1.0, 1.0, 1.0, 2.0), "lead-backing": (2.0, 1.0, 1.0)}
"""How much each source's error counts: what the voice conversion is fed with counts double."""


@task
def prepare(data: Path, midi: Path, fonts: list[Path], work: Path, bands: int, sung: int) -> None:
    """Decode songs and voices, render `bands` passages of MIDI, and make `sung` of singing; what is there is kept."""
    from flows.training import separator_data as material

    material.decode_songs(data, work)
    material.decode_voices(data, work)
    material.render_bands(midi, fonts, work, bands)
    material.make_singing(work, sung)


@task
def learn(
    network_name: str, work: Path, run: Path, steps: int, batch: int, seed: int, start_from: Path | None, precision: str
) -> None:
    """Train, writing `run/checkpoint.pt` and `run/curve.jsonl`; goes on from them after a kill.

    A run without a checkpoint starts from the weights in the file `start_from`, or from random ones.
    """
    import torch

    from flows.training.separator_data import load_library
    from models.separation.checkpoints import load
    from models.separation.training.loop import TrainSettings, train

    torch.set_num_threads(1)
    learner, held_out = learners(network_name, load_library(work), load_library(work, held_out=True), seed, precision)
    if start_from is not None:
        learner.network.load_state_dict(load(start_from).state_dict())
    settings = TrainSettings(steps=steps, batch=batch, rate=RATES[network_name])
    recent: list[float] = []
    for step, value in train(learner, settings, seed, run / "checkpoint.pt"):
        recent.append(value)
        if step % settings.round == 0:
            point = {"step": step, "loss": round(float(np.mean(recent)), 5)}
            if step % (4 * settings.round) == 0:
                point |= held_out()
            with open(run / "curve.jsonl", "a") as file:
                file.write(json.dumps(point) + "\n")
            recent.clear()


def learners(
    network_name: str, library: "Library", unseen: "Library", seed: int, precision: str = "float32"
) -> "tuple[Learner, Callable[[], dict[str, float]]]":
    """How the network of that name learns from the library, and what it scores on examples of unseen pieces."""
    import torch

    from models.separation.training import losses, mixtures
    from models.separation.training import mask_cnn as cnn_learning
    from models.separation.training.loop import Learner
    from models.separation.training.multitracks import SAMPLE_RATE

    network = built(network_name, seed)
    frames = int(CROP_S * SAMPLE_RATE)
    source = mixtures.vocal_mixture if network_name == "lead-backing" else mixtures.mixture
    examples = [source(unseen, np.random.default_rng(n), frames) for n in range(24)]
    fours = [examples[n : n + 4] for n in range(0, 24, 4)]
    draw = partial(source, library, frames=frames)
    if network_name == "mask-cnn":
        network.to(memory_format=torch.channels_last)
        prepare, loss = partial(cnn_learning.blocks_of, network), partial(cnn_learning.loss, network, precision)
        judged = [prepare(four) for four in fours]
        learner = Learner(network, draw, prepare, loss, cnn_learning.adam)
        return learner, partial(cnn_learning.held_out_loss, network, judged)
    pair = (2, 0) if network_name == "lead-backing" else (1, 2)
    judging = losses.LossSettings(pair, EMPHASIS[network_name], precision)
    powers, error = partial(losses.spectral_powers, network), partial(losses.loss, network, judging)
    unheard = [powers(four) for four in fours]
    return Learner(network, draw, powers, error), partial(losses.held_out_sdrs, network, pair, unheard)


@task
def judge(network_name: str, work: Path, run: Path) -> dict[str, float]:
    """Whole-song SDR in dB of each source of the held-out song, and of vocals the median over one-second frames."""
    from flows.training.separator_validation import judged

    return judged(network_name, trained(network_name, run), work)


@task
def export(network_name: str, run: Path, figures: dict[str, float]) -> Path:
    """Write `run/<network>.safetensors` in half precision, `run/figures.json` and `run/curve.png`."""
    from models.separation.checkpoints import save

    target = run / f"{network_name}.safetensors"
    save(trained(network_name, run), target)
    (run / "figures.json").write_text(json.dumps(figures, indent=1))
    draw_curve(run)
    return target


def built(network_name: str, seed: int):  # type: ignore[no-untyped-def]
    """The untrained network of that name, with weights drawn from the seed."""
    import torch

    from models.separation.networks.band_mask import BandMask
    from models.separation.networks.mask_cnn import MaskCnn
    from models.separation.training.multitracks import SOURCES, VOICES

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if network_name == "mask-cnn":
            return MaskCnn()
        if network_name == "band-mask":
            return BandMask(SOURCES, temperature=1.2, wiener=True)
        return BandMask(VOICES, width=256, keep="lead_vocals", share=0.03)


def trained(network_name: str, run: Path):  # type: ignore[no-untyped-def]
    """The network with the averaged weights of the run's checkpoint."""
    from models.separation.training.loop import ema_weights

    network = built(network_name, 0)
    network.load_state_dict(ema_weights(run / "checkpoint.pt"))
    return network.eval()


def draw_curve(run: Path) -> None:
    """The loss over the steps as `run/curve.png`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 3.5))
    axes.plot([p["step"] for p in points], [p["loss"] for p in points])
    axes.set(xlabel="step", ylabel="loss", title=run.name)
    figure.tight_layout()
    figure.savefig(run / "curve.png", dpi=110)
    pyplot.close(figure)


@flow(name="train-separator")
def train_separator(
    network: str,
    data: Path,
    midi: Path,
    fonts: list[Path],
    work: Path,
    steps: int,
    batch: int,
    bands: int,
    seed: int,
    sung: int = 100,
    start_from: Path | None = None,
    precision: str = "float32",
) -> dict[str, float]:
    """Prepare, learn, judge, export; returns the figures on the held-out song."""
    logger = get_run_logger()
    run = work / "runs" / network
    run.mkdir(parents=True, exist_ok=True)
    prepare(data, midi, fonts, work, bands, sung)
    learn(network, work, run, steps, batch, seed, start_from, precision)
    figures = judge(network, work, run)
    logger.info("wrote %s: %s", export(network, run, figures), figures)
    return figures


if __name__ == "__main__":
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with songs/ and voice/")
    parser.add_argument("--midi", type=Path, required=True, help="folder of MIDI files to render")
    parser.add_argument("--font", type=Path, action="append", required=True, help="SoundFont; may be given again")
    parser.add_argument("--work", type=Path, required=True, help="where material, checkpoints and results go")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--bands", type=int, default=200)
    parser.add_argument("--sung", type=int, default=100, help="passages of singing made from speech")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start-from", type=Path, help="weights (.safetensors) a new run starts from")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="while training")
    a = parser.parse_args()
    counts = (a.steps, a.batch, a.bands, a.seed, a.sung)
    train_separator(a.network, a.data, a.midi, a.font, a.work, *counts, a.start_from, a.precision)
