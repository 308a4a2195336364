"""Train the Music Transformer: `python -m flows.training.music_transformer --data DIR --work DIR --out FILE`.

`--data` holds a folder a MIDI collection (pop909, freedoom, openmsx, nottingham, groove); `--sources` selects some.
The pieces, the split and the checkpoints are kept in `--work`: stopped at any time, the same command resumes, and more
`--steps` lengthen a training that is done.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

from flows.command_options import options_of, run
from flows.training.curves import Panel, plot_curves
from flows.training.options import TransformerOptions
from models.core.curve import CURVE_FILE, read_rows

TRANSCRIBED = "transcribed.npz"
CACHE_FITTING_SONGS = 8
"""Training songs a group that the weights of the n-gram cache are fitted on."""
SMOOTHED_ROWS = 25


@task
def gather(data: Path, work: Path, sources: tuple[str, ...]) -> Path:
    """Quantize the pieces of the collections, find near-duplicates and write the held-out split; once a work folder."""
    from models.generation.training import corpus

    if not (work / "split.json").is_file():
        entries = list(corpus.read(data, sources))
        corpus.save(entries, work / "corpus.npz")
        (work / "split.json").write_text(json.dumps(corpus.held_out(entries), indent=0))
    return work


@task
def transcribe(work: Path, songs: int) -> Path:
    """Render, mix, separate and transcribe excerpts of training songs; each once, into `work/transcribed`."""
    import torch

    from flows.evaluation.transcribed_prompts import transcribe_songs
    from models.generation.training.transcription_noise import save_transcribed

    torch.set_num_threads(1)
    pieces = transcribe_songs(_split(work)[0], songs, work / "transcribed") if songs else []
    if pieces:
        save_transcribed(pieces, work / TRANSCRIBED)
    return work


def _split(work: Path) -> tuple[list[Any], list[Any]]:
    """The entries of the training set and those held out."""
    from models.generation.training import corpus

    return corpus.train_test_split(corpus.load(work / "corpus.npz"), json.loads((work / "split.json").read_text()))


@task
def fit(
    work: Path, size: dict[str, Any], how: dict[str, Any], start_from: Path | None = None, blend: float = 1.0
) -> Path:
    """Train from the last checkpoint on the training set; the EMA weights go to `work/network.safetensors`.

    `size` are fields of the network's `Config`, `how` of the `Recipe`. Without a checkpoint it starts from the weights
    `start_from`, if given; at the end `blend` of the new weights are mixed with the rest of those.
    """
    import torch

    from models.core.solver import TrainingRun
    from models.generation import network
    from models.generation.training import music_transformer as training
    from models.generation.training.transcription_noise import load_transcribed

    torch.set_num_threads(1)
    entries, _ = _split(work)
    recipe = training.Recipe(config=replace(network.Config(), **size), **how)
    transcribed = load_transcribed(work / TRANSCRIBED) if (work / TRANSCRIBED).is_file() else []
    start = network.load(start_from) if start_from else None
    of = training.TransformerTraining(entries, recipe, start, transcribed)
    solver = training.solver_of(of, TrainingRun(work))
    get_run_logger().info("%d pieces, from step %d", len(entries), solver.step)
    solver.train()
    weights = solver.averaged.state_dict()
    if start is not None:
        weights = {name: value.lerp(weights[name], blend) for name, value in start.state_dict().items()}
    of.network.load_state_dict(weights)
    network.save(of.network, work / "network.safetensors")
    return work / "network.safetensors"


@task
def evaluate(work: Path, weights: Path, out: Path, songs: int) -> dict[str, Any]:
    """Fit the n-gram cache's weights on training songs, evaluate on at most `songs` held-out ones a group, write `out`.

    The metrics and the names of the held-out songs go beside it as JSON.
    """
    import torch

    from models.core.registry import file_digest
    from models.generation import GenerateSettings, network
    from models.generation.evaluation import continuation
    from models.generation.training import corpus

    torch.set_num_threads(1)
    training, held_out = _split(work)
    groups = {"pop909": ("pop909",), "bands": corpus.BANDS, "nottingham": ("nottingham",)}
    trained = _with_cache(network.load(weights), [groups[name] for name in ("pop909", "bands")], training)
    network.save(trained, out)
    metrics: dict[str, Any] = {"sha256": file_digest(out), "held_out": json.loads((work / "split.json").read_text())}
    results: list[continuation.SongResult] = []
    for name, group in groups.items():
        tested = [e.piece for e in _spread([e for e in held_out if e.source in group], songs)]
        known = [e.piece for e in training if e.source in group and "-v" not in e.name]
        if len(tested) > 1:
            of_group = continuation.evaluate_songs(trained, tested, known, GenerateSettings())
            results += of_group
            metrics[name] = continuation.summarize(of_group)
            get_run_logger().info("%s: %s", name, json.dumps(metrics[name]["rows"]["model"]))
    if results:
        metrics["all"] = continuation.summarize(results)
    out.with_suffix(".json").write_text(json.dumps(metrics, indent=1) + "\n")
    return metrics


def _with_cache(network: Any, groups: list[tuple[str, ...]], training: list[Any]) -> Any:
    """The network with n-gram cache weights fitted on training songs of these groups."""
    from models.generation.evaluation import likelihood

    songs = [e for group in groups for e in _spread([e for e in training if e.source in group], CACHE_FITTING_SONGS)]
    return likelihood.fit_cache_weights(
        network, [likelihood.event_probabilities(network, e.piece, e.piece.families, stop=48) for e in songs]
    )


def _spread(entries: list[Any], most: int) -> list[Any]:
    """At most `most` of the entries, evenly spread."""
    return entries[:: -(-len(entries) // most)] if entries else []


@flow(name="train-music-transformer")
def train_music_transformer(options: TransformerOptions) -> dict[str, Any]:
    """Gather the pieces, train on them, evaluate on the held-out ones; weights, metrics and curves go to `out`."""
    work, out = options.work, options.out
    work.mkdir(parents=True, exist_ok=True)
    of = {"steps": options.steps, "seconds": 60 * options.minutes, "seed": options.seed, "bfloat16": options.bfloat16}
    gathered = transcribe(gather(options.data, work, options.sources), options.transcribed)
    weights = fit(gathered, options.size, of | options.recipe, options.start_from, options.blend)
    metrics = evaluate(work, weights, out, options.songs)
    panels = [Panel(("nats_per_note", "length_nats"), "nats a note"), Panel(("accuracy",), "accuracy of events")]
    plot_curves(read_rows(work / CURVE_FILE), panels, out.with_suffix(".png"), columns=1, smooth=SMOOTHED_ROWS)
    return metrics


@options_of(TransformerOptions)
def main(options: TransformerOptions) -> None:
    """Train the Music Transformer."""
    train_music_transformer(options)


if __name__ == "__main__":
    run(main)
