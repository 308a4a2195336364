"""Train the small content encoder: `python -m flows.training.content_encoder --data DIR --work DIR --out DIR`.

`--data` is a folder with `voice/` (recordings in subfolders) and `songs/*/lead_vocals.ogg`; what is in `--leave-out` is
kept for judging. Stopped at any time, the same command goes on from the last checkpoint.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prefect import flow, get_run_logger, task

from models.conversion.training.settings import EncoderTraining
from models.core.malloc import keep_freed_memory

RECORDINGS = (".flac", ".wav", ".ogg", ".opus", ".mp3")


@task
def gather(data: Path, work: Path, hours: float, seed: int, leave_out: tuple[str, ...]) -> Path:
    """Synthesise `hours` of labelled speech and cut the recordings into pieces; done once a work folder."""
    import soundfile

    from models.conversion.training import content_dataset

    folder = work / "corpus"
    if (folder / "clips.json").is_file():
        return folder
    paths = sorted((data / "voice").rglob("*")) + sorted((data / "songs").glob("*/lead_vocals.ogg"))
    chosen = [p for p in paths if p.suffix in RECORDINGS and not any(part in p.parts for part in leave_out)]

    def pieces() -> Iterator[NDArray[np.int16]]:
        for path in chosen:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            yield from content_dataset.active_segments(content_dataset.Recording(samples.mean(axis=1), rate))

    content_dataset.write(folder, content_dataset.synthetic_utterances(3600 * hours, seed), pieces())
    return folder


@task
def fit(corpus: Path, work: Path, settings: EncoderTraining) -> Path:
    """Train from the last checkpoint; the losses go to `losses.jsonl`, the network to `work/encoder`."""
    import torch
    from safetensors.torch import save_file

    from models.conversion import content
    from models.conversion.training import content_dataset, content_encoder
    from models.conversion.training.run import TrainingRun

    torch.set_num_threads(1)
    encoder = content.init_encoder(content.small_config(), settings.seed)
    log = get_run_logger()

    def report(row: dict[str, float]) -> None:
        log.info(" ".join(f"{name} {value:.3f}" for name, value in row.items()))
        with open(work / "losses.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")

    loaded = content_dataset.read(corpus)
    heads = content_encoder.train(encoder, loaded, settings, TrainingRun(work, report))
    folder = work / "encoder"
    folder.mkdir(exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in encoder.state_dict().items()}, folder / "model.safetensors")
    save_file({k: v.half().contiguous() for k, v in heads.phones.state_dict().items()}, folder / "phones.safetensors")
    encoder.config.to_json_file(folder / "config.json", use_diff=False)
    return folder


@task
def draw_curves(work: Path) -> Path:
    """The losses over the steps as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (work / "losses.jsonl").read_text().splitlines()]
    figure, axes = pyplot.subplots(1, 4, figsize=(16, 3.5))
    for axis, name in zip(axes, ("phones", "right", "agreement", "spectrum"), strict=True):
        axis.plot([row["step"] for row in rows], [row[name] for row in rows])
        axis.set(title=name, xlabel="step")
    figure.savefig(work / "curves.png", dpi=80, bbox_inches="tight")
    return work / "curves.png"


@flow(name="train-content-encoder")
def train_content_encoder(
    data: Path, work: Path, settings: EncoderTraining, hours: float = 3.0, leave_out: tuple[str, ...] = ()
) -> Path:
    """Gather a corpus, train on it, and leave the encoder's folder in `work/encoder`."""
    work.mkdir(parents=True, exist_ok=True)
    corpus = gather(data, work, hours, settings.seed, leave_out)
    encoder = fit(corpus, work, settings)
    draw_curves(work)
    return encoder


def main() -> None:
    """Read the command line and run the flow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=3.0, help="of synthetic speech")
    parser.add_argument("--leave-out", nargs="*", default=["vctk", "3_sodium"])
    for field in fields(EncoderTraining):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    given = parser.parse_args()
    settings = EncoderTraining(**{field.name: getattr(given, field.name) for field in fields(EncoderTraining)})
    train_content_encoder(given.data, given.work, settings, given.hours, tuple(given.leave_out))


if __name__ == "__main__":
    keep_freed_memory()
    main()
