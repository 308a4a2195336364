"""Train a separator: `python -m flows.training.separator --network band-mask --data DIR --midi DIR --work DIR`.

Decodes and renders the data once, trains, resumes after a kill, evaluates on the held-out song, and writes the weights
as safetensors in half precision with a plot of the curves.
"""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prefect import flow, get_run_logger, task

from flows.command_options import options_of, run
from flows.training.curves import Panel, plot_curves
from flows.training.options import SeparatorOptions
from models.core.curve import CURVE_FILE, read_rows

if TYPE_CHECKING:
    from models.separation.training.multitracks import Library
    from models.separation.training.separator import Learner

RATES = {"band-mask": 1e-3, "lead-backing": 1e-3, "mask-cnn": 5e-4}
"""The peak learning rate of each network."""
CROP_S = 4.0
VALIDATION_BATCHES = 6
"""Of four examples each."""
EMPHASIS = {"band-mask": (1.0, 1.0, 1.0, 2.0), "lead-backing": (2.0, 1.0, 1.0)}
"""The weight of each source's error: that of the voice conversion's input is doubled."""


@task
def prepare(options: SeparatorOptions) -> None:
    """Decode songs and voices, render MIDI, and synthesise singing; existing files are kept."""
    from flows.training import separator_data

    separator_data.decode_songs(options.data, options.work)
    separator_data.decode_voices(options.data, options.work)
    separator_data.render_bands(options.midi, options.fonts, options.work, options.bands)
    separator_data.make_singing(options.work, options.sung)


@task
def fit(options: SeparatorOptions, folder: Path) -> None:
    """Train from the last checkpoint in `folder`, or from the weights `start_from`, or from random ones."""
    import torch

    from flows.training.separator_data import load_library
    from models.core.solver import TrainingRun
    from models.separation.checkpoints import load
    from models.separation.training.separator import TrainSettings, train

    torch.set_num_threads(1)
    library, held_out = load_library(options.work), load_library(options.work, held_out=True)
    learner = learner_for(options.network, library, held_out, options.seed, options.precision)
    if options.start_from is not None:
        learner.network.load_state_dict(load(options.start_from).state_dict())
    settings = TrainSettings(steps=options.steps, batch=options.batch, rate=RATES[options.network])
    train(learner, settings, options.seed, TrainingRun(folder))


def learner_for(
    network_name: str, library: "Library", held_out: "Library", seed: int, precision: str = "float32"
) -> "Learner":
    """How the network of that name learns from a library, and is validated on examples of held-out pieces."""
    import torch

    from models.separation.training import losses, mixtures
    from models.separation.training import mask_cnn as cnn_training
    from models.separation.training.multitracks import SAMPLE_RATE
    from models.separation.training.separator import Learner

    network = untrained_network(network_name, seed)
    frames = int(CROP_S * SAMPLE_RATE)
    source = mixtures.vocal_mixture if network_name == "lead-backing" else mixtures.mixture
    examples = [source(held_out, np.random.default_rng(n), frames) for n in range(4 * VALIDATION_BATCHES)]
    batches = [examples[n : n + 4] for n in range(0, len(examples), 4)]
    draw = partial(source, library, frames=frames)
    if network_name == "mask-cnn":
        network.to(memory_format=torch.channels_last)
        blocks, loss = partial(cnn_training.blocks_of, network), partial(cnn_training.loss, network, precision)
        validation = partial(cnn_training.held_out_loss, network, [blocks(batch) for batch in batches])
        return Learner(network, draw, blocks, loss, cnn_training.adam, validation)
    pair = (2, 0) if network_name == "lead-backing" else (1, 2)
    settings = losses.LossSettings(pair, EMPHASIS[network_name], precision)
    powers, error = partial(losses.spectral_powers, network), partial(losses.loss, network, settings)
    sdrs = partial(losses.held_out_sdrs, network, pair, [powers(batch) for batch in batches])
    return Learner(network, draw, powers, error, metrics=sdrs)


@task
def evaluate(network_name: str, work: Path, folder: Path) -> dict[str, float]:
    """Whole-song SDR in dB of each source of the held-out song, and of vocals the median over one-second frames."""
    from flows.training.separator_validation import held_out_metrics

    return held_out_metrics(network_name, trained_network(network_name, folder), work)


@task
def export(network_name: str, folder: Path, metrics: dict[str, float]) -> Path:
    """Write `folder/<network>.safetensors` in half precision, `folder/metrics.json` and `folder/curve.png`."""
    from models.separation.checkpoints import save

    target = folder / f"{network_name}.safetensors"
    save(trained_network(network_name, folder), target)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1))
    plot_curves(read_rows(folder / CURVE_FILE), [Panel(("loss",))], folder / "curve.png")
    return target


def untrained_network(network_name: str, seed: int):  # type: ignore[no-untyped-def]
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


def trained_network(network_name: str, folder: Path):  # type: ignore[no-untyped-def]
    """The network with the EMA weights of the checkpoint in a folder."""
    from models.core.solver import CHECKPOINT_FILE, ema_weights

    network = untrained_network(network_name, 0)
    network.load_state_dict(ema_weights(folder / CHECKPOINT_FILE))
    return network.eval()


@flow(name="train-separator")
def train_separator(options: SeparatorOptions) -> dict[str, float]:
    """Prepare, train, evaluate, export to `work/runs/<network>`; returns the metrics on the held-out song."""
    folder = options.work / "runs" / options.network
    folder.mkdir(parents=True, exist_ok=True)
    prepare(options)
    fit(options, folder)
    metrics = evaluate(options.network, options.work, folder)
    get_run_logger().info("wrote %s: %s", export(options.network, folder, metrics), metrics)
    return metrics


@options_of(SeparatorOptions)
def main(options: SeparatorOptions) -> None:
    """Train a separator."""
    train_separator(options)


if __name__ == "__main__":
    run(main)
