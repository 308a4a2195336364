"""Train a voice: `python -m flows.training.voice NAME --recordings DIR --work DIR`, or `remix voices train`.

`--recordings` is a folder of one speaker's audio files. Stopped at any time, the same command resumes from the last
checkpoint; with another encoder its content features are computed anew. The voice is left in WORK/voice: weights,
config and card; its record of consent is written by `remix voices add`. The flow trains small and full-size voices; the
module's own command line trains small ones.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task

from flows.command_options import options_of, run
from flows.training.options import VoiceOptions
from flows.training.voice_data import (
    MATERIAL,
    SMALL,
    Framing,
    MaterialSettings,
    check_unchanged,
    extract_features,
    gather,
    load_utterances,
    selection_report,
)
from flows.training.voice_validation import EarlyStopping, Schedule, VoiceInTraining, draw_curves, shipped_encoder
from models.conversion.training.settings import FullTrainingSettings, SelectionSettings, VoiceTrainingSettings
from tasks.runs.progress import stage_watch

if TYPE_CHECKING:
    from models.conversion.training.voice_dataset import Utterance
    from models.conversion.voices.registry import Card

TrainingSettings = VoiceTrainingSettings | FullTrainingSettings
"""Settings of a small or of a full-size voice."""
FULL = Framing(44_100, 512)
CURVES = {
    VoiceTrainingSettings: ("mel", "spectral", "feature_matching"),
    FullTrainingSettings: ("mel", "kl", "total"),
}
"""The losses that are plotted."""
_MAY_CHANGE = ("epochs", "patience")
"""Settings of a full-size training that only say when it ends, so that it can be lengthened."""


@task
def fit(
    features: Path,
    encoder: Path,
    work: Path,
    name: str,
    settings: TrainingSettings,
    start_from: Path | None = None,
    device: str = "cpu",
) -> Path:
    """Train from the last checkpoint, with validation; the voice of the best validation goes to `work/voice`."""
    import torch

    from models.conversion.voices.registry import write_card

    torch.set_num_threads(1)
    utterances, folder, finished = load_utterances(features), work / "voice", work / "finished"
    folder.mkdir(exist_ok=True)
    config = _config(settings, name, utterances[0].contents[0].shape[1])
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    voice = VoiceInTraining(work, config, _card(name, settings, utterances, encoder, work), encoder, device)
    until = json.dumps([getattr(settings, key) for key in _MAY_CHANGE if key in asdict(settings)])
    if not finished.is_file() or finished.read_text() != until:
        stopping = EarlyStopping(voice, _validation_schedule(settings, len(utterances)))
        if isinstance(settings, FullTrainingSettings):
            _fit_full(utterances, settings, voice, start_from, stopping)
        else:
            _fit_small(utterances, settings, voice, start_from, stopping)
        finished.write_text(until)
    best = max((row for row in voice.validations if row["step"]), key=lambda row: row["score"])
    metrics = {key: value for key, value in best.items() if key != "realtime"}
    write_card(replace(voice.card, metrics=metrics), folder)
    return folder


def _config(settings: TrainingSettings, name: str, width: int) -> dict[str, Any]:
    """The fork's config of a voice with content features of that width."""
    from models.conversion.training import full_size_voice, small_voice

    if isinstance(settings, FullTrainingSettings):
        return full_size_voice.full_config(name, width, settings)
    return small_voice.small_config(name, width)


def _card(
    name: str, settings: TrainingSettings, utterances: "Sequence[Utterance]", encoder: Path, work: Path
) -> "Card":
    from models.conversion.training.voice_dataset import vocal_range_of
    from models.conversion.voices.registry import Card

    framing, report = framing_of(settings), selection_report(work)
    return Card(
        name,
        "so-vits-svc",
        "the user's own",
        vocal_range_of([u.f0_hz for u in utterances], framing.hop / framing.rate),
        "model.safetensors",
        encoder.name,
        unvoiced_f0="interpolated" if isinstance(settings, FullTrainingSettings) else "zero",
        training_s=round(report["kept_s"], 1),
        speaker_embedding=tuple(report["speaker"]),
        ltas_db=tuple(report.get("spectrum", ())),
    )


def _validation_schedule(settings: TrainingSettings, utterances: int) -> Schedule:
    """When the voice is validated."""
    if isinstance(settings, FullTrainingSettings):
        from models.conversion.training.full_size import steps_per_epoch

        epoch = steps_per_epoch(utterances, settings)
        return Schedule(settings.check_every * epoch, settings.epochs * epoch, settings.patience)
    return Schedule(settings.validate_every, settings.steps, settings.patience)


def _fit_small(
    utterances: "Sequence[Utterance]",
    settings: VoiceTrainingSettings,
    voice: VoiceInTraining,
    start_from: Path | None,
    stopping: EarlyStopping,
) -> None:
    from models.conversion.training import small_voice
    from models.conversion.training import voice as voice_training
    from models.core.solver import TrainingRun

    network = small_voice.init_network(voice.config, settings.seed)
    if start_from is not None:
        small_voice.load_voice_weights(network, start_from)
    stopping(network, 0)
    voice_training.train(network, utterances, settings, TrainingRun(voice.work, stage_watch("train")), stopping)


def _fit_full(
    utterances: "Sequence[Utterance]",
    settings: FullTrainingSettings,
    voice: VoiceInTraining,
    start_from: Path | None,
    stopping: EarlyStopping,
) -> None:
    from models.conversion.training import full_size, full_size_voice
    from models.core.solver import TrainingRun

    run = TrainingRun(voice.work, stage_watch("train"), device=voice.device)
    networks = full_size.Networks(*full_size_voice.init_networks(voice.config, settings.seed))
    if not run.checkpoint.is_file():
        if start_from is not None:
            full_size_voice.load_base_pair(*networks, start_from)
        stopping(networks.generator, 0)
    full_size.train(networks, utterances, voice.config, settings, run, stopping)


def framing_of(settings: TrainingSettings) -> Framing:
    """The rate and hop of the voice that is trained."""
    return FULL if isinstance(settings, FullTrainingSettings) else SMALL


@flow(name="train-voice")
def train_voice(
    name: str,
    recordings: Path,
    work: Path,
    settings: TrainingSettings,
    material: MaterialSettings = MATERIAL,
    encoder: Path | None = None,
    start_from: Path | None = None,
    device: str = "cpu",
) -> Path:
    """Select segments of a speaker's recordings, train on them, and leave the voice's folder in `work/voice`.

    `start_from` is where the first weights come from: the folder of a small voice, or of base checkpoints for a
    full-size one.
    """
    work.mkdir(parents=True, exist_ok=True)
    encoder, framing = encoder or shipped_encoder(), framing_of(settings)
    free = _MAY_CHANGE if isinstance(settings, FullTrainingSettings) else ()
    check_unchanged(work / "settings.json", {key: v for key, v in asdict(settings).items() if key not in free})
    audio = gather(recordings, work, material, settings.seed, framing.rate)
    get_run_logger().info(selection_report(work)["account"])
    features = extract_features(audio, encoder, work, material.perturbed, settings.seed, framing)
    voice = fit(features, encoder, work, name, settings, start_from, device)
    draw_curves(work, CURVES[type(settings)], name)
    return voice


@options_of(VoiceOptions)
@options_of(MaterialSettings)
@options_of(VoiceTrainingSettings)
def main(options: VoiceOptions, material: MaterialSettings, settings: VoiceTrainingSettings) -> None:
    """Train a small voice."""
    material = replace(material, selection=SelectionSettings(denoise=options.denoise))
    train_voice(options.name, options.recordings, options.work, settings, material, options.encoder, options.start_from)


if __name__ == "__main__":
    run(main)
