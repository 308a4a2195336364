"""Train the beat tracker: `python -m flows.training.beat_tracker --midi DIR --font FILE --work DIR --out FILE`.

`--midi` holds pop909/ and groove/; their songs are rendered, and separated as in a remix, before features are computed.
Features and checkpoints are kept in `--work`: stopped at any time, the same command resumes.
"""

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

from flows.command_options import options_of, run
from flows.training.curves import Panel, plot_curves
from flows.training.options import BeatTrackerOptions
from models.core.curve import CURVE_FILE, read_rows

HELD_OUT = 30
"""Songs of the development part, whose loss is validated during training."""


@task
def gather(options: BeatTrackerOptions) -> dict[str, list[Path]]:
    """Features of rendered songs, of their true stems and of separated ones, a file a song, each made once.

    Returns the files of the training songs, "train", and of those held out, "dev"; with other SoundFonts, another
    separator or other code they are in another folder.
    """
    import numpy as np

    from flows.evaluation.known_songs import apart
    from models.analysis.training.dataset import song_arrays
    from models.core.registry import file_digest
    from models.separation.checkpoints import load, network_modules, separator_digest, separator_path
    from models.transcription.evaluation.pieces import pieces, rendered
    from tasks.cache.fingerprint import code_digest, digest_of

    network, fonts = load(separator_path(options.separator)), options.fonts
    loads = network_modules(separator_path(options.separator))
    code = code_digest("models.analysis.training.dataset", "models.transcription.evaluation.pieces", *loads)
    made_by = digest_of([separator_digest(options.separator), *map(file_digest, fonts), code])
    paths: dict[str, list[Path]] = {}
    for part, count in (("train", options.songs), ("dev", HELD_OUT)):
        folder = options.work / f"{part}-{made_by[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        for index, piece in enumerate(pieces(options.midi, part, count, 60.0)):
            path = folder / f"{piece.name.replace('/', '-')}.npz"
            paths.setdefault(part, []).append(path)
            if not path.exists():
                true = rendered(piece, str(fonts[index % len(fonts)]) if part == "train" else "")
                partial = path.with_suffix(".part")
                with open(partial, "wb") as file:
                    np.savez(file, **song_arrays(piece.grid, [true, apart(true, network)]))
                partial.rename(path)
    return paths


@task
def fit(songs: dict[str, list[Path]], work: Path, steps: int, seed: int) -> Path:
    """Train from the last checkpoint; the EMA weights go to `work/network.safetensors`."""
    import torch

    from models.analysis.beat_tracker.network import save
    from models.analysis.training.beat_tracker import Recipe, train
    from models.analysis.training.dataset import examples
    from models.core.solver import TrainingRun

    torch.set_num_threads(1)
    training = [example for path in sorted(songs["train"]) for example in examples(path)]
    held_out = [examples(path)[1] for path in sorted(songs["dev"])]  # separated, as in a remix
    get_run_logger().info("%d songs, each with true and with separated stems", len(training) // 2)
    save(train(training, held_out, Recipe(steps=steps, seed=seed), TrainingRun(work)), work / "network.safetensors")
    return work / "network.safetensors"


@task
def publish(work: Path, weights: Path, out: Path) -> dict[str, Any]:
    """Copy the weights to `out`, with a plot of the losses beside them; returns the last losses."""
    rows = read_rows(work / CURVE_FILE)
    plot_curves(rows, [Panel(("loss", "held_out_loss"), "nats a frame")], out.with_suffix(".png"))
    out.write_bytes(weights.read_bytes())
    return dict(rows[-1])


@flow(name="train-beat-tracker")
def train_beat_tracker(options: BeatTrackerOptions) -> dict[str, Any]:
    """Render songs, compute their features and train on them; the weights and their curves go to `out`."""
    weights = fit(gather(options), options.work, options.steps, options.seed)
    return publish(options.work, weights, options.out)


@options_of(BeatTrackerOptions)
def main(options: BeatTrackerOptions) -> None:
    """Train the beat tracker."""
    print(train_beat_tracker(options))


if __name__ == "__main__":
    run(main)
