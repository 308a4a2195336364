"""Training data of a voice: selected segments of recordings, and the F0 and content features of each."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task

from models.conversion.training.recordings import DEFAULT, Selection
from models.conversion.training.settings import SelectionSettings
from models.core.errors import BadInput
from models.core.progress import Watch
from tasks.runs.progress import stage_watch

if TYPE_CHECKING:
    from models.conversion.training.voice_dataset import Utterance
    from models.core.types import Wave

RECORDINGS = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a", ".aiff")
LEAST_S = 20.0
"""Of recordings, in seconds; the least that a voice is trained on."""

MOST_NAMED = 5
"""Of files that cannot be used, so many are named."""


@dataclass(frozen=True)
class MaterialSettings:
    """How recordings become training data.

    Content features are also computed of `perturbed` perturbations of each segment, and `sung` versions of it are made
    by turning speech to singing; `held_out` segments are kept for validation. At most `most_s` seconds are used.
    """

    sung: int = 2
    perturbed: int = 2
    held_out: int = 2
    most_s: float = 900.0
    selection: SelectionSettings = DEFAULT


MATERIAL = MaterialSettings()


@dataclass(frozen=True)
class Framing:
    """The rate of a voice, in hertz, and how many samples a frame makes."""

    rate: int
    hop: int


SMALL = Framing(22_050, 256)


@task
def gather(recordings: Path, work: Path, material: MaterialSettings, seed: int, rate: int) -> Path:
    """Select segments of the recordings at a rate and make `sung` sung versions of each; done once a work folder."""
    from models.conversion.training.recordings import select_segments

    watch = stage_watch("gather")
    paths = sorted(p for p in recordings.rglob("*") if p.suffix.lower() in RECORDINGS)
    if not paths:
        raise BadInput(f"{recordings} holds no recordings ({', '.join(RECORDINGS)}).")
    files = [[p.name, p.stat().st_size] for p in paths]
    check_unchanged(work / "material.json", {"files": files, "seed": seed, **asdict(material)})
    if (work / "selection.json").is_file():
        if selection_report(work).get("rate", SMALL.rate) != rate:
            raise BadInput(f"{work} was begun for a voice of another size; delete it to start again.")
        return work / "audio"
    selection = select_segments(
        [(str(p.relative_to(recordings)), partial(_mono, p)) for p in paths],
        rate,
        material.selection,
        watch.span(0, 0.4),
    )
    if selection.kept_s < LEAST_S:
        raise BadInput(f"The recordings are too little to train a voice on: {_account(selection)}")
    _write_segments(selection, work / "audio", material, seed, rate, watch.span(0.4, 1.0))
    _write_report(selection, work / "selection.json", rate)
    return work / "audio"


def _write_segments(
    selection: Selection, folder: Path, material: MaterialSettings, seed: int, rate: int, watch: Watch
) -> None:
    """Write the segments that are used, with their sung versions, and those held out."""
    import numpy as np

    from models.conversion.training.voice_dataset import singing_version

    folder.mkdir(parents=True, exist_ok=True)
    rng, used = np.random.default_rng(seed), 0.0
    for place, index in enumerate(rng.permutation(len(selection.segments))):
        audio = selection.segments[index].audio.samples[0]
        watch.at(place / len(selection.segments))
        held_out = place < material.held_out
        if used > material.most_s and not held_out:
            break
        used += 0.0 if held_out else len(audio) / rate
        np.save(folder / f"{'held' if held_out else 'piece'}-{index:04d}.0.npy", audio)
        for version in range(1, 1 if held_out else material.sung + 1):
            sung = singing_version(audio, rate, np.random.default_rng([seed, int(index), version]))
            np.save(folder / f"piece-{index:04d}.{version}.npy", sung)


def _write_report(selection: Selection, path: Path, rate: int) -> None:
    """Write what `selection_report` reads."""
    import numpy as np

    from models.conversion.ltas_eq import long_term_average_spectrum

    colour = np.mean([long_term_average_spectrum(piece.audio.samples[0], rate) for piece in selection.segments], axis=0)
    report = {
        "account": _account(selection),
        "kept_s": selection.kept_s,
        "dropped_s": selection.rejected_s,
        "rate": rate,
    }
    path.write_text(json.dumps({**report, "speaker": selection.speaker.tolist(), "spectrum": colour.tolist()}))


def _mono(path: Path) -> "Wave":
    import numpy as np

    from models.audio.decode import decode
    from models.audio.settings import IngestSettings
    from models.core.types import Wave

    blocks = decode(path, IngestSettings(max_seconds=6 * 3600.0, min_seconds=0.1, silence_dbfs=-90.0))
    return Wave(np.concatenate([block.mean(axis=0, keepdims=True) for block in blocks], axis=1), 44_100)


def selection_report(work: Path) -> dict[str, Any]:
    """The report of the selection in a work folder: account, kept_s, dropped_s, rate, speaker and spectrum."""
    report: dict[str, Any] = json.loads((work / "selection.json").read_text())
    return report


def _account(selection: Selection) -> str:
    left_out = ", ".join(f"{seconds:.0f} s {reason}" for reason, seconds in sorted(selection.rejected_s.items()))
    account = f"{selection.kept_s:.0f} s are kept; left out: {left_out or 'nothing'}."
    if not selection.unusable:
        return account
    reasons = " ".join([*selection.unusable.values()][:MOST_NAMED])
    more = len(selection.unusable) - MOST_NAMED
    return f"{account} Files that could not be used: {len(selection.unusable)}. {reasons}" + (
        f" And {more} more." if more > 0 else ""
    )


@task
def extract_features(audio: Path, encoder: Path, work: Path, perturbed: int, seed: int, framing: Framing) -> Path:
    """F0 and content features of every segment, unperturbed and in so many perturbations; done once an encoder."""
    import numpy as np
    import torch

    from models.conversion.content import load_encoder
    from models.conversion.training import voice_dataset
    from models.core.registry import file_digest

    target = work / f"features-{file_digest(encoder / 'model.safetensors')[:12]}.pt"
    if target.exists():
        return target
    torch.set_num_threads(1)
    dtype = torch.float16 if framing == SMALL else torch.float32  # enough for what a small voice synthesises
    loaded, rows, watch = load_encoder(encoder, "cpu"), [], stage_watch("compute features")
    paths = sorted(audio.glob("piece-*.npy"))
    for index, path in enumerate(paths):
        watch.at(index / len(paths))
        rng = np.random.default_rng([seed, index])
        one = voice_dataset.utterance(np.load(path), framing.rate, framing.hop, loaded, perturbed, rng)
        rows.append((path.stem, torch.from_numpy(one.audio).to(dtype), torch.from_numpy(one.f0_hz), list(one.contents)))
    torch.save(rows, target.with_suffix(".part"))
    target.with_suffix(".part").replace(target)
    return target


def load_utterances(features: Path) -> "list[Utterance]":
    """What `extract_features` wrote."""
    import torch

    from models.conversion.training.voice_dataset import Utterance

    loaded = torch.load(features, weights_only=True)
    return [Utterance(a.float().numpy(), f0.numpy(), tuple(c)) for _, a, f0, c in loaded]


def check_unchanged(kept: Path, given: dict[str, Any]) -> None:
    """Raise `BadInput` where the work folder was begun with other recordings or settings."""
    if kept.is_file() and json.loads(kept.read_text()) != json.loads(json.dumps(given)):
        raise BadInput(f"{kept.parent} was begun with other recordings or settings; delete it to start again.")
    kept.write_text(json.dumps(given))
