"""A voice in training is listened to every so many steps: figures, a sample, the best one kept, and when to stop."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task

from models.core.registry import SHIPPED, find
from tasks.runs.training_page import show_check, show_curves

if TYPE_CHECKING:
    from models.conversion.evaluation.checkpoint import VoiceValidator
    from models.conversion.evaluation.voice import PhoneClassifier
    from models.conversion.voices.registry import Card

ENCODER = "hubert-small"
"""The content encoder that is shipped."""
EXAMINED = ("like_target", "phones", "naturalness")


@dataclass(frozen=True)
class Checks:
    """Every so many steps and after the last; training stops after `patience` checks that are no better."""

    every: int
    last: int
    patience: int


def examinations(
    work: Path, config: dict[str, Any], card: "Card", encoder: Path, checks: Checks, device: str = "cpu"
) -> Callable[[Any, int], bool]:
    """What examines the voice, keeps the best in `work/voice`, and says when it gets no better any more."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from models.audio.encode import write_wav
    from models.conversion.engines import so_vits_network

    examiner = _examiner(work, config, card, encoder, device)
    for folder in ("samples", "voice"):
        (work / folder).mkdir(exist_ok=True)

    def no_better(rows: list[dict[str, float]]) -> bool:
        scores = [row["score"] for row in rows if row["step"]]
        return len(scores) > checks.patience and max(scores[-checks.patience :]) < max(scores)

    def enough(network: so_vits_network.Network, step: int) -> bool:
        rows = rows_in(work / "examined.jsonl")
        if step in [row["step"] for row in rows]:
            return no_better(rows)
        if step % checks.every and step != checks.last:
            return False
        state = {
            k: v.detach().cpu() for k, v in network.state_dict().items() if not k.startswith(so_vits_network.UNUSED)
        }
        with torch.no_grad():
            verdict = examiner.validate(state)
        write_wav(verdict.sample, sample := work / "samples" / f"{step:06d}.wav")
        before = max((row["score"] for row in rows if row["step"]), default=-np.inf)
        if step and verdict.score > before:
            part = work / "voice" / "model.part"
            save_file({k: v.half().contiguous() for k, v in state.items()}, part)
            part.replace(work / "voice" / "model.safetensors")
        row = {"step": step, "score": verdict.score, **verdict.metrics}
        append(work / "examined.jsonl", row)
        show_check(card.title, step, row, sample)
        return no_better([*rows, row])

    return enough


def _examiner(work: Path, config: dict[str, Any], card: "Card", encoder: Path, device: str) -> "VoiceValidator":
    """What sings the example song and the pieces held out, and measures them."""
    import numpy as np

    from models.conversion.content import load_encoder
    from models.conversion.evaluation.checkpoint import VoiceValidator
    from models.conversion.evaluation.voice import EvaluationClip, example_clip
    from models.core.types import Wave

    rate = int(config["data"]["sampling_rate"])
    held = [EvaluationClip(p.stem, Wave(np.load(p)[None], rate)) for p in sorted((work / "audio").glob("held-*.npy"))]
    target = np.asarray(card.speaker_embedding, np.float32)
    clips = [example_clip(8.0), *held]
    return VoiceValidator(config, card, load_encoder(encoder, device), _ear(encoder), clips, target, device)


def _ear(encoder: Path) -> "PhoneClassifier":
    """What tells words apart: the encoder where it was taught phones, otherwise the shipped one, which was."""
    from models.conversion.content import load_encoder
    from models.conversion.evaluation.voice import PhoneClassifier

    taught = encoder if (encoder / "phones.safetensors").is_file() else shipped_encoder()
    return PhoneClassifier.load(taught, load_encoder(taught, "cpu"))


def shipped_encoder() -> Path:
    """The folder of the content encoder that is shipped."""
    return SHIPPED / Path(find("content_encoder", ENCODER).file).parent


def append(path: Path, row: dict[str, float]) -> None:
    """Add a row to a file of rows."""
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")


def rows_in(path: Path) -> list[dict[str, float]]:
    """The rows of a file, of those of one step the last: it was made anew after a stop."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return sorted({row["step"]: row for row in rows}.values(), key=lambda row: row["step"])


@task
def draw_curves(work: Path, losses: tuple[str, ...], title: str) -> Path:
    """These three losses and the examinations over the steps as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    wanted = {"losses.jsonl": losses, "examined.jsonl": EXAMINED}
    figure, axes = pyplot.subplots(2, 3, figsize=(13, 6.5), layout="constrained")
    for row_of_axes, (file, keys) in zip(axes, wanted.items(), strict=True):
        for axis, key in zip(row_of_axes, keys, strict=True):
            shown = [row for row in rows_in(work / file) if key in row]
            axis.plot([row["step"] for row in shown], [row[key] for row in shown], marker=".")
            axis.set(title=key, xlabel="step")
    figure.savefig(work / "curves.png", dpi=80, bbox_inches="tight")
    pyplot.close(figure)
    show_curves(title, work / "curves.png")
    return work / "curves.png"
