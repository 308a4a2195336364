"""Train the small content encoder: `python -m flows.training.content_encoder --data DIR --work DIR --out DIR`.

`--data` is a folder with `voice/` (recordings in subfolders) and `songs/*/lead_vocals.ogg`; what is in `--leave-out` is
kept for evaluation. Stopped at any time, the same command resumes from the last checkpoint.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prefect import flow, get_run_logger, task

from flows.command_options import options_of, run
from flows.training.curves import Panel, plot_curves
from flows.training.options import ContentEncoderOptions
from models.conversion.training.settings import EncoderTrainingSettings
from models.core.curve import CURVE_FILE, read_rows

RECORDINGS = (".flac", ".wav", ".ogg", ".opus", ".mp3")


@task
def gather(options: ContentEncoderOptions, seed: int) -> Path:
    """Synthesise `hours` of labelled speech and cut the recordings into segments; done once a work folder."""
    import soundfile

    from models.conversion.training import content_dataset

    folder, data = options.work / "corpus", options.data
    if (folder / "clips.json").is_file():
        return folder
    paths = sorted((data / "voice").rglob("*")) + sorted((data / "songs").glob("*/lead_vocals.ogg"))
    chosen = [p for p in paths if p.suffix in RECORDINGS and not any(part in p.parts for part in options.leave_out)]

    def segments() -> Iterator[NDArray[np.int16]]:
        for path in chosen:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            yield from content_dataset.active_segments(content_dataset.Recording(samples.mean(axis=1), rate))

    content_dataset.write(folder, content_dataset.synthetic_utterances(3600 * options.hours, seed), segments())
    return folder


@task
def fit(corpus: Path, work: Path, settings: EncoderTrainingSettings) -> Path:
    """Train from the last checkpoint; the network goes to `work/encoder`."""
    import torch
    from safetensors.torch import save_file

    from models.conversion import content
    from models.conversion.training import content_dataset, content_encoder
    from models.core.solver import TrainingRun

    torch.set_num_threads(1)
    encoder = content.init_encoder(content.small_config(), settings.seed)
    log = get_run_logger()

    def report(row: dict[str, float]) -> None:
        log.info(" ".join(f"{name} {value:.3f}" for name, value in row.items()))

    loaded = content_dataset.read(corpus)
    heads = content_encoder.train(encoder, loaded, settings, TrainingRun(work, report=report))
    folder = work / "encoder"
    folder.mkdir(exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in encoder.state_dict().items()}, folder / "model.safetensors")
    save_file({k: v.half().contiguous() for k, v in heads.phones.state_dict().items()}, folder / "phones.safetensors")
    encoder.config.to_json_file(folder / "config.json", use_diff=False)
    return folder


@flow(name="train-content-encoder")
def train_content_encoder(options: ContentEncoderOptions, settings: EncoderTrainingSettings) -> Path:
    """Gather a corpus, train on it, and leave the encoder's folder in `work/encoder`."""
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    encoder = fit(gather(options, settings.seed), work, settings)
    panels = [Panel((name,)) for name in ("phones", "right", "agreement", "spectrum")]
    plot_curves(read_rows(work / CURVE_FILE), panels, work / "curves.png", columns=4)
    return encoder


@options_of(ContentEncoderOptions)
@options_of(EncoderTrainingSettings)
def main(options: ContentEncoderOptions, settings: EncoderTrainingSettings) -> None:
    """Train the small content encoder."""
    train_content_encoder(options, settings)


if __name__ == "__main__":
    run(main)
