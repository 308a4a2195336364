"""Train the beat tracker: `python -m flows.training.beat_tracker --midi DIR --font FILE --work DIR --out FILE`.

`--midi` holds pop909/ and groove/; their songs are rendered, taken apart as a remix does, and heard. All of it and the
checkpoints lie in `--work`: stopped at any time, the same command goes on where it was.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

from models.core.malloc import keep_freed_memory

HELD_OUT = 30
"""Songs of the part that settings are tuned on, whose loss is followed while training."""


@task
def gather(midi: Path, fonts: list[Path], work: Path, songs: int, separator: str) -> dict[str, list[Path]]:
    """What is heard of rendered songs, of their true stems and of separated ones, a file a song, each made once.

    Songs take turns with the SoundFonts. Returns the files of the songs to train on, "train", and of those held out,
    "dev"; with other SoundFonts, another separator or other code they lie in another folder.
    """
    import numpy as np

    from flows.evaluation.known_songs import apart
    from models.analysis.training.dataset import song_arrays
    from models.core.registry import file_digest
    from models.separation.checkpoints import load, network_modules, separator_digest, separator_path
    from models.transcription.evaluation.pieces import pieces, rendered
    from tasks.cache.fingerprint import code_digest, digest_of

    network = load(separator_path(separator))
    loads = network_modules(separator_path(separator))
    code = code_digest("models.analysis.training.dataset", "models.transcription.evaluation.pieces", *loads)
    made_by = digest_of([separator_digest(separator), *map(file_digest, fonts), code])
    found: dict[str, list[Path]] = {}
    for part, count in (("train", songs), ("dev", HELD_OUT)):
        folder = work / f"{part}-{made_by[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        for index, piece in enumerate(pieces(midi, part, count, 60.0)):
            path = folder / f"{piece.name.replace('/', '-')}.npz"
            found.setdefault(part, []).append(path)
            if not path.exists():
                true = rendered(piece, str(fonts[index % len(fonts)]) if part == "train" else "")
                partial = path.with_suffix(".part")
                with open(partial, "wb") as file:
                    np.savez(file, **song_arrays(piece.grid, [true, apart(true, network)]))
                partial.rename(path)
    return found


@task
def fit(songs: dict[str, list[Path]], work: Path, steps: int, seed: int) -> Path:
    """Train from the last checkpoint on; the averaged weights go to `work/network.safetensors`."""
    import torch

    from models.analysis.beat_tracker.network import save
    from models.analysis.training.beat_tracker import Recipe, Trainer
    from models.analysis.training.dataset import examples

    torch.set_num_threads(1)
    known = [e for path in sorted(songs["train"]) for e in examples(path)]
    held_out = [examples(path)[1] for path in sorted(songs["dev"])]  # as a remix hears them
    trainer = Trainer(known, held_out, Recipe(steps=steps, seed=seed), work)
    get_run_logger().info("%d songs, two ways each, from step %d", len(known) // 2, trainer.step)
    save(trainer.run(), work / "network.safetensors")
    return work / "network.safetensors"


@task
def publish(work: Path, weights: Path, out: Path) -> dict[str, Any]:
    """Put the weights in their place, and a picture of the losses beside them; returns the last losses."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 3))
    for name in ("loss", "held_out_loss"):
        axes.plot([row["step"] for row in rows], [row[name] for row in rows], label=name.replace("_", " "))
    axes.set(xlabel="step", ylabel="nats a frame", ylim=(0, None))
    axes.legend()
    figure.savefig(out.with_suffix(".png"), dpi=80, bbox_inches="tight")
    out.write_bytes(weights.read_bytes())
    return dict(rows[-1])


@flow(name="train-beat-tracker")
def train_beat_tracker(
    midi: Path,
    fonts: list[Path],
    work: Path,
    out: Path,
    songs: int = 500,
    steps: int = 5000,
    seed: int = 0,
    separator: str = "band-mask",
) -> dict[str, Any]:
    """Render and hear the songs, train on them; the weights and their curves go to `out`."""
    weights = fit(gather(midi, fonts, work, songs, separator), work, steps, seed)
    return publish(work, weights, out)


if __name__ == "__main__":
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--midi", "--work", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--font", type=Path, action="append", required=True, help="SoundFont; may be given again")
    parser.add_argument("--songs", type=int, default=500, help="to train on")
    parser.add_argument("--steps", type=int, default=5000, help="of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--separator", default="band-mask", help="what takes the songs apart")
    a = parser.parse_args()
    print(train_beat_tracker(a.midi, a.font, a.work, a.out, a.songs, a.steps, a.seed, a.separator))
