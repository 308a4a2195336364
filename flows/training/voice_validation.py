"""Validation of a voice in training: metrics, a sample, the best weights kept, early stopping."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task

from flows.training.curves import Panel, plot_curves
from models.core.curve import CURVE_FILE, Row, append_row, read_rows
from models.core.registry import SHIPPED, find
from tasks.runs.training_page import show_check, show_curves

if TYPE_CHECKING:
    from torch import Tensor

    from models.conversion.evaluation.checkpoint import ValidationResult, VoiceValidator
    from models.conversion.evaluation.voice import PhoneClassifier
    from models.conversion.voices.registry import Card

ENCODER = "hubert-small"
"""The content encoder that is shipped."""
VALIDATIONS_FILE = "examined.jsonl"
METRICS = ("like_target", "phones", "naturalness")
"""The metrics that are plotted."""


@dataclass(frozen=True)
class VoiceInTraining:
    """A voice in training: its work folder, the fork's config, its card, its content encoder, and its device."""

    work: Path
    config: dict[str, Any]
    card: "Card"
    encoder: Path
    device: str = "cpu"

    @property
    def validations(self) -> list[Row]:
        """The scores and metrics of each validation."""
        return read_rows(self.work / VALIDATIONS_FILE)


@dataclass(frozen=True)
class Schedule:
    """A validation every `every` steps and after step `last`; training stops after `patience` without improvement."""

    every: int
    last: int
    patience: int


class EarlyStopping:
    """Validates a voice when it is due, keeps the best weights in `work/voice`; true where training is to stop."""

    def __init__(self, voice: VoiceInTraining, schedule: Schedule) -> None:
        self.voice, self.schedule = voice, schedule
        self._validator = _validator(voice)
        for folder in ("samples", "voice"):
            (voice.work / folder).mkdir(exist_ok=True)

    def __call__(self, network: Any, step: int) -> bool:
        """Validate after so many steps, unless it was done before; whether to stop."""
        import torch

        from models.conversion.engines import so_vits_network

        rows = self.voice.validations
        if step in [row["step"] for row in rows]:
            return self._no_improvement(rows)
        if step % self.schedule.every and step != self.schedule.last:
            return False
        state = {
            k: v.detach().cpu() for k, v in network.state_dict().items() if not k.startswith(so_vits_network.UNUSED)
        }
        with torch.no_grad():
            result = self._validator.validate(state)
        if step and result.score > max((row["score"] for row in rows if row["step"]), default=float("-inf")):
            self._keep(state)
        return self._no_improvement([*rows, self._publish(result, step)])

    def _keep(self, state: "dict[str, Tensor]") -> None:
        """Write the weights, in half precision, atomically."""
        from safetensors.torch import save_file

        part = self.voice.work / "voice" / "model.part"
        save_file({k: v.half().contiguous() for k, v in state.items()}, part)
        part.replace(part.with_suffix(".safetensors"))

    def _publish(self, result: "ValidationResult", step: int) -> Row:
        """Write the sample and the row of a validation, and show them on the run's page."""
        from models.audio.encode import write_wav

        sample = self.voice.work / "samples" / f"{step:06d}.wav"
        write_wav(result.sample, sample)
        row = {"step": step, "score": result.score, **result.metrics}
        append_row(self.voice.work / VALIDATIONS_FILE, row)
        show_check(self.voice.card.title, step, row, sample)
        return row

    def _no_improvement(self, rows: list[Row]) -> bool:
        """Whether the last `patience` validations are all worse than the best."""
        scores = [row["score"] for row in rows if row["step"]]
        patience = self.schedule.patience
        return len(scores) > patience and max(scores[-patience:]) < max(scores)


def _validator(voice: VoiceInTraining) -> "VoiceValidator":
    """Converts the example song and the held-out segments, and measures the result."""
    import numpy as np

    from models.conversion.content import load_encoder
    from models.conversion.evaluation.checkpoint import VoiceValidator
    from models.conversion.evaluation.voice import EvaluationClip, example_clip
    from models.core.types import Wave

    rate = int(voice.config["data"]["sampling_rate"])
    paths = sorted((voice.work / "audio").glob("held-*.npy"))
    clips = [example_clip(8.0), *(EvaluationClip(path.stem, Wave(np.load(path)[None], rate)) for path in paths)]
    target = np.asarray(voice.card.speaker_embedding, np.float32)
    encoder = load_encoder(voice.encoder, voice.device)
    classifier = _phone_classifier(voice.encoder)
    return VoiceValidator(voice.config, voice.card, encoder, classifier, clips, target, voice.device)


def _phone_classifier(encoder: Path) -> "PhoneClassifier":
    """The phone classifier of the encoder, if it was trained with one, otherwise that of the shipped encoder."""
    from models.conversion.content import load_encoder
    from models.conversion.evaluation.voice import PhoneClassifier

    folder = encoder if (encoder / "phones.safetensors").is_file() else shipped_encoder()
    return PhoneClassifier.load(folder, load_encoder(folder, "cpu"))


def shipped_encoder() -> Path:
    """The folder of the content encoder that is shipped."""
    return SHIPPED / Path(find("content_encoder", ENCODER).file).parent


@task
def draw_curves(work: Path, losses: tuple[str, ...], title: str) -> Path:
    """Plot three losses and the validation metrics over the steps."""
    rows = [*read_rows(work / CURVE_FILE), *read_rows(work / VALIDATIONS_FILE)]
    picture = plot_curves(rows, [Panel((name,)) for name in (*losses, *METRICS)], work / "curves.png")
    show_curves(title, picture)
    return picture
