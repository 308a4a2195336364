"""Train a voice: `python -m flows.training.voice NAME --recordings DIR --work DIR`, or `remix voices train`.

`--recordings` is a folder of one speaker's audio files. Stopped at any time, the same command goes on from the last
checkpoint, also with another encoder: what it hears is then prepared anew. The voice is left in WORK/voice: weights,
config and card; its record of consent is written by `remix voices add`. Small and full-size voices go the same way; the
module's own command line trains small ones.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task

from flows.training.voice_data import (
    MATERIAL,
    SMALL,
    Framing,
    MaterialSettings,
    gather,
    listen,
    same_as_before,
    sifted,
    utterances_in,
)
from flows.training.voice_validation import Checks, append, draw_curves, examinations, rows_in, shipped_encoder
from models.conversion.training.settings import FullTraining, SelectionSettings, VoiceTraining
from models.core.malloc import keep_freed_memory
from tasks.runs.progress import stage_watch

if TYPE_CHECKING:
    from models.conversion.training.voice_dataset import Utterance
    from models.conversion.voices.registry import Card

Training = VoiceTraining | FullTraining
"""How a voice is trained, by which its size is told."""
FULL = Framing(44_100, 512)
CURVES = {VoiceTraining: ("mel", "spectral", "feature_matching"), FullTraining: ("mel", "kl", "total")}
"""The losses that are drawn."""
_MAY_CHANGE = ("epochs", "patience")
"""Settings of a full-size training that say when it ends, and nothing else."""


@task
def fit(
    heard: Path,
    encoder: Path,
    work: Path,
    name: str,
    settings: Training,
    start_from: Path | None = None,
    device: str = "cpu",
) -> Path:
    """Train from the last checkpoint, examined as it goes; the voice of the best examination goes to `work/voice`."""
    import torch

    from models.conversion.voices.registry import write_card

    torch.set_num_threads(1)
    utterances, folder, ended = utterances_in(heard), work / "voice", work / "enough"
    folder.mkdir(exist_ok=True)
    config = _config(settings, name, utterances[0].contents[0].shape[1])
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    described = _card(name, settings, utterances, encoder, work)
    until = json.dumps([getattr(settings, key) for key in _MAY_CHANGE if key in asdict(settings)])
    if not ended.is_file() or ended.read_text() not in ("", until):
        checks = _checks(settings, len(utterances))
        enough = examinations(work, config, described, encoder, checks, device)
        if isinstance(settings, FullTraining):
            _fit_full(utterances, config, settings, work, start_from, device, enough)
        else:
            _fit_small(utterances, config, settings, work, start_from, enough)
        ended.write_text(until)
    best = max((row for row in rows_in(work / "examined.jsonl") if row["step"]), key=lambda row: row["score"])
    figures = {key: value for key, value in best.items() if key != "realtime"}
    write_card(replace(described, metrics=figures), folder)
    return folder


def _config(settings: Training, name: str, width: int) -> dict[str, Any]:
    """The fork's config of a voice that hears so many numbers a frame."""
    from models.conversion.training import full_size_voice, small_voice

    if isinstance(settings, FullTraining):
        return full_size_voice.full_config(name, width, settings)
    return small_voice.small_config(name, width)


def _card(name: str, settings: Training, utterances: "list[Utterance]", encoder: Path, work: Path) -> "Card":
    from models.conversion.training.voice_dataset import vocal_range_of
    from models.conversion.voices.registry import Card

    framing, known = framing_of(settings), sifted(work)
    return Card(
        name,
        "so-vits-svc",
        "the user's own",
        vocal_range_of([u.f0_hz for u in utterances], framing.hop / framing.rate),
        "model.safetensors",
        encoder.name,
        unvoiced_f0="interpolated" if isinstance(settings, FullTraining) else "zero",
        training_s=round(known["kept_s"], 1),
        speaker_embedding=tuple(known["speaker"]),
        ltas_db=tuple(known.get("spectrum", ())),
    )


def _checks(settings: Training, pieces: int) -> Checks:
    """When the voice is examined."""
    if isinstance(settings, FullTraining):
        from models.conversion.training.full_size import steps_per_epoch

        epoch = steps_per_epoch(pieces, settings)
        return Checks(settings.check_every * epoch, settings.epochs * epoch, settings.patience)
    return Checks(settings.validate_every, settings.steps, settings.patience)


def _fit_small(
    utterances: "list[Utterance]",
    config: dict[str, Any],
    settings: VoiceTraining,
    work: Path,
    start_from: Path | None,
    enough: Callable[[Any, int], bool],
) -> None:
    from models.conversion.training import small_voice
    from models.conversion.training import voice as voice_training
    from models.conversion.training.run import TrainingRun

    network = small_voice.init_network(config, settings.seed)
    if start_from is not None:
        small_voice.load_voice_weights(network, start_from)
    enough(network, 0)
    run = TrainingRun(work, partial(append, work / "losses.jsonl"), stage_watch("train"), should_stop=enough)
    voice_training.train(network, utterances, settings, run)


def _fit_full(
    utterances: "list[Utterance]",
    config: dict[str, Any],
    settings: FullTraining,
    work: Path,
    start_from: Path | None,
    device: str,
    enough: Callable[[Any, int], bool],
) -> None:
    from models.conversion.training import full_size, full_size_voice
    from models.conversion.training.run import TrainingRun

    generator, discriminators = full_size_voice.init_networks(config, settings.seed)
    if not (work / "checkpoint.pt").is_file():
        if start_from is not None:
            full_size_voice.load_base_pair(generator, discriminators, start_from)
        enough(generator, 0)
    run = TrainingRun(work, partial(append, work / "losses.jsonl"), stage_watch("train"), device, enough)
    full_size.train(generator, discriminators, utterances, config, settings, run)


def framing_of(settings: Training) -> Framing:
    """The rate and hop of the voice that is trained."""
    return FULL if isinstance(settings, FullTraining) else SMALL


@flow(name="train-voice")
def train_voice(
    name: str,
    recordings: Path,
    work: Path,
    settings: Training,
    material: MaterialSettings = MATERIAL,
    encoder: Path | None = None,
    start_from: Path | None = None,
    device: str = "cpu",
) -> Path:
    """Sift a speaker's recordings, train on them, and leave the voice's folder in `work/voice`.

    `start_from` is where the first weights come from: the folder of a small voice, or of base checkpoints for a
    full-size one.
    """
    work.mkdir(parents=True, exist_ok=True)
    encoder, framing = encoder or shipped_encoder(), framing_of(settings)
    free = _MAY_CHANGE if isinstance(settings, FullTraining) else ()
    same_as_before(work / "settings.json", {key: v for key, v in asdict(settings).items() if key not in free})
    audio = gather(recordings, work, material, settings.seed, framing.rate)
    get_run_logger().info(sifted(work)["account"])
    heard = listen(audio, encoder, work, material.perturbed, settings.seed, framing)
    voice = fit(heard, encoder, work, name, settings, start_from, device)
    draw_curves(work, CURVES[type(settings)], name)
    return voice


def main() -> None:
    """Read the command line and run the flow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    for option in ("recordings", "work"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="folder of a content encoder instead of the shipped one")
    parser.add_argument("--start-from", type=Path, help="folder of a voice to start from")
    parser.add_argument("--denoise", action="store_true")
    simple = {"sung", "perturbed", "held_out", "most_s"}
    options = [f for f in fields(MaterialSettings) if f.name in simple] + list(fields(VoiceTraining))
    for field in options:
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    given = vars(parser.parse_args())
    settings = VoiceTraining(**{field.name: given[field.name] for field in fields(VoiceTraining)})
    sifting = SelectionSettings(denoise=given["denoise"])
    material = MaterialSettings(sift=sifting, **{name: given[name] for name in simple})
    name, recordings, work = given["name"], given["recordings"], given["work"]
    train_voice(name, recordings, work, settings, material, given["encoder"], given["start_from"])


if __name__ == "__main__":
    keep_freed_memory()
    main()
