"""Train the Music Transformer: `python -m flows.train_music_transformer --data DIR --work DIR --out FILE`.

`--data` holds a folder a MIDI collection (pop909, freedoom, openmsx, nottingham, groove); `--sources` leaves some out.
The pieces, the split and the checkpoints lie in `--work`: stopped at any time, the same command goes on where it was,
and more `--steps` lengthen a training that is done.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

SOURCES = ("pop909", "freedoom", "openmsx", "nottingham", "groove")


@task
def gather(data: Path, work: Path, sources: tuple[str, ...]) -> Path:
    """Read the collections onto the lattice, find near-duplicates and write down which pieces are held out; once."""
    from models.music_transformer import corpus

    if not (work / "split.json").is_file():
        entries = list(corpus.read(data, sources))
        corpus.save(entries, work / "corpus.npz")
        (work / "split.json").write_text(json.dumps(corpus.held_out(entries), indent=0))
    return work


@task
def fit(work: Path, size: dict[str, Any], steps: int, seed: int) -> Path:
    """Train from the last checkpoint on what is not held out; the averaged weights go to `work/network.safetensors`."""
    import torch

    from models.music_transformer import corpus, network, training
    from models.progress import Watch

    torch.set_num_threads(1)
    log = get_run_logger()
    learnt, _ = corpus.divided(corpus.load(work / "corpus.npz"), json.loads((work / "split.json").read_text()))
    recipe = training.Recipe(config=replace(network.Config(), **size), steps=steps, seed=seed)
    trainer = training.Trainer(learnt, recipe, work)
    log.info("%d pieces, from step %d", len(learnt), trainer.step)
    trainer.network.load_state_dict(trainer.run(Watch(lambda done: None)))
    network.save(trainer.network, work / "network.safetensors")
    return work / "network.safetensors"


@task
def judge(work: Path, weights: Path, out: Path) -> dict[str, Any]:
    """Fit the memory's trust on songs trained on, measure nats a note on held-out ones, and write `out`."""
    import torch

    from models.music_transformer import corpus, likelihood, network

    torch.set_num_threads(1)
    learnt, held = corpus.divided(corpus.load(work / "corpus.npz"), json.loads((work / "split.json").read_text()))
    trained = network.load(weights)
    sample = [e for source in ("pop909", "freedoom") for e in learnt if e.source == source][:: len(learnt) // 16 or 1]
    trained = likelihood.fitted(
        trained, [likelihood.chances(trained, e.piece, e.piece.families, stop=48) for e in sample[:16]]
    )
    network.save(trained, out)
    figures = {
        name: likelihood.summary(trained, [e.piece for e in held if e.source in group])
        for name, group in (("pop909", ("pop909",)), ("bands", corpus.BANDS))
    }
    (work / "figures.json").write_text(json.dumps(figures, indent=1))
    get_run_logger().info(json.dumps(figures))
    return figures


@task
def draw_curves(work: Path, out: Path) -> Path:
    """Nats a note while training, as a picture beside the weights."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    figure, axis = pyplot.subplots(figsize=(7, 4))
    seen = [row["seen"] / 1e6 for row in rows]
    for name, label in (("nats_per_note", "a note, all in all"), ("length_nats", "of these on its length")):
        values = np.array([row[name] for row in rows])
        width = min(25, len(values))
        axis.plot(seen[width - 1 :], np.convolve(values, np.ones(width) / width, "valid"), label=label)
    axis.set(xlabel="million events seen", ylabel="nats (training windows)", ylim=(0, None))
    axis.legend()
    figure.savefig(out.with_suffix(".png"), dpi=80, bbox_inches="tight")
    return out.with_suffix(".png")


@flow(name="train-music-transformer")
def train_music_transformer(
    data: Path,
    work: Path,
    out: Path,
    sources: tuple[str, ...] = SOURCES,
    size: dict[str, Any] | None = None,
    steps: int = 4000,
    seed: int = 0,
) -> dict[str, Any]:
    """Gather the pieces, train on them, judge on the held-out ones; weights and curves go to `out`."""
    work.mkdir(parents=True, exist_ok=True)
    gathered = gather(data, work, sources)
    weights = fit(gathered, size or {}, steps, seed)
    figures = judge(work, weights, out)
    draw_curves(work, out)
    return figures


def main() -> None:
    """Read the command line and run the flow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--work", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--sources", nargs="+", default=SOURCES, choices=SOURCES)
    parser.add_argument("--steps", type=int, default=4000, help="of 4,096 events each")
    parser.add_argument("--seed", type=int, default=0)
    for name in ("--width", "--layers", "--heads", "--context"):
        parser.add_argument(name, type=int, help="of the network")
    given = vars(parser.parse_args())
    size = {k: given[k] for k in ("width", "layers", "heads", "context") if given[k] is not None}
    train_music_transformer(
        given["data"], given["work"], given["out"], tuple(given["sources"]), size, given["steps"], given["seed"]
    )


if __name__ == "__main__":
    main()
