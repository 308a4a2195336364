"""Train the Music Transformer: `python -m flows.training.music_transformer --data DIR --work DIR --out FILE`.

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

from models.core.malloc import keep_freed_memory

SOURCES = ("pop909", "freedoom", "openmsx", "nottingham", "groove")


@task
def gather(data: Path, work: Path, sources: tuple[str, ...]) -> Path:
    """Read the collections onto the lattice, find near-duplicates and write down which pieces are held out; once."""
    from models.generation.training import corpus

    if not (work / "split.json").is_file():
        entries = list(corpus.read(data, sources))
        corpus.save(entries, work / "corpus.npz")
        (work / "split.json").write_text(json.dumps(corpus.held_out(entries), indent=0))
    return work


@task
def hear(work: Path, songs: int) -> Path:
    """Play, mix, take apart and transcribe stretches of so many songs to train on; each once, into `work/heard`."""
    import torch

    from flows.evaluation.transcribed_prompts import hear_songs
    from models.generation.training import corpus
    from models.generation.training.transcription_noise import save_transcribed

    torch.set_num_threads(1)
    learnt, _ = corpus.train_test_split(corpus.load(work / "corpus.npz"), json.loads((work / "split.json").read_text()))
    found = hear_songs(learnt, songs, work / "heard") if songs else []
    if found:
        save_transcribed(found, work / "heard.npz")
    return work


@task
def fit(
    work: Path, size: dict[str, Any], how: dict[str, Any], start_from: Path | None = None, blend: float = 1.0
) -> Path:
    """Train from the last checkpoint on what is not held out; the averaged weights go to `work/network.safetensors`.

    `size` are fields of the network's `Config`, `how` of the `Recipe`. The first checkpoint begins with the weights of
    `start_from`, where that is given; in the end `blend` of the new weights are mixed with the rest of those.
    """
    import torch

    from models.core.progress import Watch
    from models.generation import network
    from models.generation.training import corpus, training
    from models.generation.training.transcription_noise import load_transcribed

    torch.set_num_threads(1)
    log = get_run_logger()
    learnt, _ = corpus.train_test_split(corpus.load(work / "corpus.npz"), json.loads((work / "split.json").read_text()))
    recipe = training.Recipe(config=replace(network.Config(), **size), **how)
    known = load_transcribed(work / "heard.npz") if (work / "heard.npz").is_file() else []
    start = network.load(start_from) if start_from else None
    trainer = training.Trainer(learnt, recipe, work, start, known)
    log.info("%d pieces, from step %d", len(learnt), trainer.step)
    found = trainer.run(Watch(lambda done: None))
    if start is not None:
        found = {name: value.lerp(found[name], blend) for name, value in start.state_dict().items()}
    trainer.network.load_state_dict(found)
    network.save(trainer.network, work / "network.safetensors")
    return work / "network.safetensors"


@task
def judge(work: Path, weights: Path, out: Path, songs: int) -> dict[str, Any]:
    """Fit the memory's trust on songs trained on, evaluate on at most `songs` held-out ones a group, and write `out`.

    The figures and the names of what was held out go beside it as JSON.
    """
    import torch

    from models.core.registry import file_digest
    from models.generation import PlaySettings, network
    from models.generation.evaluation import continuation, likelihood
    from models.generation.training import corpus

    torch.set_num_threads(1)
    split = json.loads((work / "split.json").read_text())
    learnt, held = corpus.train_test_split(corpus.load(work / "corpus.npz"), split)
    trained = network.load(weights)
    groups = {"pop909": ("pop909",), "bands": corpus.BANDS, "nottingham": ("nottingham",)}
    heard = [e for name in ("pop909", "bands") for e in _spread([e for e in learnt if e.source in groups[name]], 8)]
    trained = likelihood.fit_cache_weights(
        trained, [likelihood.event_probabilities(trained, e.piece, e.piece.families, stop=48) for e in heard]
    )
    network.save(trained, out)
    figures: dict[str, Any] = {"sha256": file_digest(out), "held_out": split}
    everything: list[continuation.SongResult] = []
    for name, group in groups.items():
        tested = [e.piece for e in _spread([e for e in held if e.source in group], songs)]
        known = [e.piece for e in learnt if e.source in group and "-v" not in e.name]
        if len(tested) > 1:
            found = continuation.evaluate_songs(trained, tested, known, PlaySettings())
            everything += found
            figures[name] = continuation.summarize(found)
            get_run_logger().info("%s: %s", name, json.dumps(figures[name]["rows"]["model"]))
    if everything:
        figures["all"] = continuation.summarize(everything)
    out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def _spread(entries: list[Any], most: int) -> list[Any]:
    """At most `most` of the entries, evenly spread."""
    return entries[:: -(-len(entries) // most)] if entries else []


@task
def draw_curves(work: Path, out: Path) -> Path:
    """Nats a note and accuracy while training, as a picture beside the weights."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    panels = {"nats": ("nats_per_note", "length_nats"), "share": ("accuracy",)}
    panels = {unit: names for unit, names in panels.items() if names[0] in rows[-1]}
    labels = {
        "nats_per_note": "a note, all in all",
        "length_nats": "of these on its length",
        "accuracy": "guessed right",
    }
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(7, 3 * len(panels)), sharex=True, squeeze=False)
    seen = [row["seen"] / 1e6 for row in rows]
    width = min(25, len(rows) // 3 + 1)
    for axis, (unit, names) in zip(axes[:, 0], panels.items(), strict=True):
        for name in names:
            values = np.convolve([row.get(name, np.nan) for row in rows], np.ones(width) / width, "valid")
            axis.plot(seen[width - 1 :], values, label=labels[name])
        axis.set(ylabel=f"{unit} (training windows)", ylim=(0, None))
        axis.legend()
    axes[-1, 0].set(xlabel="million events seen")
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
    songs: int = 40,
    minutes: float = 0.0,
    bfloat16: bool = False,
    start_from: Path | None = None,
    recipe: dict[str, Any] | None = None,
    heard: int = 0,
    blend: float = 1.0,
) -> dict[str, Any]:
    """Gather the pieces, train on them, judge on the held-out ones; weights, figures and curves go to `out`.

    `size` are fields of the network's `Config`; with `minutes` the training ends after so many instead of `steps`.
    `recipe` are further fields of the `Recipe`. `heard` songs to train on are first heard as the pipeline hears them
    (about 15 s of a core each), so that its errors in a prompt are learned to be seen through. `blend` is the share
    of the new weights beside those of `start_from` (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
    """
    how = {"steps": steps, "seconds": 60 * minutes, "seed": seed, "bfloat16": bfloat16, **(recipe or {})}
    work.mkdir(parents=True, exist_ok=True)
    gathered = hear(gather(data, work, sources), heard)
    weights = fit(gathered, size or {}, how, start_from, blend)
    figures = judge(work, weights, out, songs)
    draw_curves(work, out)
    return figures


def main() -> None:
    """Read the command line and run the flow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--work", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--sources", nargs="+", default=SOURCES, choices=SOURCES)
    parser.add_argument("--start-from", type=Path, help="weights of this shape to go on from")
    parser.add_argument("--steps", type=int, default=4000, help="of 4,096 events each")
    parser.add_argument("--minutes", type=float, default=0.0, help="train so long instead of so many steps")
    parser.add_argument("--bfloat16", action="store_true", help="for processors that multiply in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--heard", type=int, default=0, help="songs to play and transcribe, for prompts with errors")
    parser.add_argument("--blend", type=float, default=1.0, help="of the new weights beside those started from, 0..1")
    parser.add_argument("--songs", type=int, default=40, help="at most to judge by, of each group")
    for name in ("--width", "--layers", "--heads", "--context"):
        parser.add_argument(name, type=int, help="of the network")
    parser.add_argument("--positions", choices=("rotary", "relative"), help="how it knows where events stand")
    parser.add_argument("--recipe", type=json.loads, default={}, help="further fields of the Recipe, as JSON")
    given = vars(parser.parse_args())
    size = {k: given[k] for k in ("width", "layers", "heads", "context", "positions") if given[k] is not None}
    names = (
        "data",
        "work",
        "out",
        "steps",
        "seed",
        "songs",
        "minutes",
        "bfloat16",
        "start_from",
        "recipe",
        "heard",
        "blend",
    )
    shared = {name: given[name] for name in names}
    train_music_transformer(sources=tuple(given["sources"]), size=size, **shared)


if __name__ == "__main__":
    keep_freed_memory()
    main()
