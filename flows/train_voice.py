"""Train a small voice: `python -m flows.train_voice NAME --recordings DIR --work DIR`, or `remix voices train`.

`--recordings` is a folder of one speaker's audio files. Stopped at any time, the same command goes on from the last
checkpoint, also with another encoder: what it hears is then prepared anew. The voice is left in WORK/voice: weights,
config and card; its record of consent is written by `remix voices add`.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task

from models.errors import BadInput
from models.registry import SHIPPED, find
from models.so_vits_svc.recordings import DEFAULT, Sifted, SiftSettings
from models.so_vits_svc.training import VoiceTraining
from tasks.progress import stage_watch

if TYPE_CHECKING:
    from models.records import Wave
    from models.so_vits_svc.voice_corpus import Utterance

RECORDINGS = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a", ".aiff")
RATE, HOP = 22_050, 256
ENCODER = "hubert-small"
LEAST_S = 20.0
"""Of recordings, in seconds; with less no voice can be told from another."""


@dataclass(frozen=True)
class MaterialSettings:
    """What is made of the recordings.

    Each piece is also heard in `perturbed` perturbations, and sung in `sung` ways; of `held_out` pieces the voice
    learns nothing: it is examined on them. No more than `most_s` seconds of recordings are used.
    """

    sung: int = 2
    perturbed: int = 2
    held_out: int = 2
    most_s: float = 900.0
    sift: SiftSettings = DEFAULT


MATERIAL = MaterialSettings()


@task
def gather(recordings: Path, work: Path, material: MaterialSettings, seed: int) -> Path:
    """Sift the recordings and make `sung` sung versions of each piece; done once a work folder."""
    import numpy as np

    from models.so_vits_svc.recordings import sift
    from models.so_vits_svc.timbre import spectrum
    from models.so_vits_svc.voice_corpus import sung_version

    folder, watch = work / "audio", stage_watch("gather")
    paths = sorted(p for p in recordings.rglob("*") if p.suffix.lower() in RECORDINGS)
    if not paths:
        raise BadInput(f"{recordings} holds no recordings ({', '.join(RECORDINGS)}).")
    files = [[p.name, p.stat().st_size] for p in paths]
    _same_as_before(work / "material.json", {"files": files, "seed": seed, **asdict(material)})
    if (work / "sifted.json").is_file():
        return folder
    found = sift([(p.name, partial(_mono, p)) for p in paths], RATE, material.sift, watch.span(0, 0.4))
    if found.kept_s < LEAST_S:
        raise BadInput(f"The recordings are too little to train a voice on: {_account(found)}")
    folder.mkdir(parents=True, exist_ok=True)
    rng, used = np.random.default_rng(seed), 0.0
    for place, index in enumerate(rng.permutation(len(found.pieces))):
        audio = found.pieces[index].audio.samples[0]
        watch.at(0.4 + 0.6 * place / len(found.pieces))
        held = place < material.held_out
        if used > material.most_s and not held:
            break
        used += 0.0 if held else len(audio) / RATE
        np.save(folder / f"{'held' if held else 'piece'}-{index:04d}.0.npy", audio)
        for version in range(1, 1 if held else material.sung + 1):
            sung = sung_version(audio, RATE, np.random.default_rng([seed, int(index), version]))
            np.save(folder / f"piece-{index:04d}.{version}.npy", sung)
    told = {"account": _account(found), "kept_s": found.kept_s, "dropped_s": found.dropped_s}
    colour = np.mean([spectrum(piece.audio.samples[0], RATE) for piece in found.pieces], axis=0)
    vectors = {"speaker": found.speaker.tolist(), "spectrum": colour.tolist()}
    (work / "sifted.json").write_text(json.dumps({**told, **vectors}))
    return folder


def _mono(path: Path) -> "Wave":
    import numpy as np

    from models.decoding import IngestSettings, decode
    from models.records import Wave

    blocks = decode(path, IngestSettings(max_seconds=6 * 3600.0, min_seconds=0.1, silence_dbfs=-90.0))
    return Wave(np.concatenate([block.mean(axis=0, keepdims=True) for block in blocks], axis=1), 44_100)


def sifted(work: Path) -> dict[str, Any]:
    """What is known of the material in a work folder: account, kept_s, dropped_s, speaker, spectrum if measured."""
    found: dict[str, Any] = json.loads((work / "sifted.json").read_text())
    return found


def _account(found: Sifted) -> str:
    left_out = ", ".join(f"{seconds:.0f} s {reason}" for reason, seconds in sorted(found.dropped_s.items()))
    return f"{found.kept_s:.0f} s are kept; left out: {left_out or 'nothing'}."


@task
def listen(audio: Path, encoder: Path, work: Path, perturbed: int, seed: int) -> Path:
    """Pitch and content of every piece, as it is and in so many perturbations; done once an encoder."""
    import numpy as np
    import torch

    from models.registry import file_digest
    from models.so_vits_svc import voice_corpus
    from models.so_vits_svc.content import load_encoder

    target = work / f"heard-{file_digest(encoder / 'model.safetensors')[:12]}.pt"
    if target.exists():
        return target
    torch.set_num_threads(1)
    heard, found, watch = load_encoder(encoder, "cpu"), [], stage_watch("listen to them")
    paths = sorted(audio.glob("piece-*.npy"))
    for index, path in enumerate(paths):
        watch.at(index / len(paths))
        rng = np.random.default_rng([seed, index])
        one = voice_corpus.utterance(np.load(path), RATE, HOP, heard, perturbed, rng)
        found.append((path.stem, torch.from_numpy(one.audio).half(), torch.from_numpy(one.f0_hz), list(one.contents)))
    torch.save(found, target.with_suffix(".part"))
    target.with_suffix(".part").replace(target)
    return target


@task
def fit(
    heard: Path, encoder: Path, work: Path, name: str, settings: VoiceTraining, start_from: Path | None = None
) -> Path:
    """Train from the last checkpoint, examined as it goes; the voice of the best examination goes to `work/voice`."""
    import torch

    from models.so_vits_svc import small_voice, voice_corpus, voice_training
    from models.so_vits_svc.voices import Card, write_card

    torch.set_num_threads(1)
    loaded = torch.load(heard, weights_only=True)
    utterances = [voice_corpus.Utterance(a.float().numpy(), f0.numpy(), tuple(c)) for _, a, f0, c in loaded]
    config = small_voice.small_config(name, utterances[0].contents[0].shape[1])
    reach, known = voice_corpus.range_of([u.f0_hz for u in utterances], HOP / RATE), sifted(work)
    card = Card(
        name, "so-vits-svc", "the user's own", reach, "model.safetensors", encoder.name,
        heard_s=round(known["kept_s"], 1), likeness=tuple(known["speaker"]),
        spectrum=tuple(known.get("spectrum", ())),
    )  # fmt: skip
    network = small_voice.fresh(config, settings.seed)
    if start_from is not None:
        small_voice.take_weights(network, start_from)
    enough = _examinations(work, config, card, encoder, settings, utterances)
    enough(network, 0)
    folder = work / "voice"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if not (work / "enough").exists():
        watch, report = stage_watch("train"), partial(_append, work / "losses.jsonl")
        voice_training.train(network, utterances, settings, work, report, watch, enough=enough)
        (work / "enough").touch()
    best = max((row for row in _rows(work / "examined.jsonl") if row["step"]), key=lambda row: row["score"])
    figures = {key: value for key, value in best.items() if key != "realtime"}
    write_card(Card(**{**{f.name: getattr(card, f.name) for f in fields(Card)}, "figures": figures}), folder)
    return folder


def _append(path: Path, row: dict[str, float]) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")


def _rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _examinations(
    work: Path, config: dict[str, Any], card: Any, encoder: Path, settings: VoiceTraining, material: "list[Utterance]"
) -> Callable[[Any, int], bool]:
    """What examines the voice, keeps the best in `work/voice`, and says when it gets no better any more."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from models.encoding import write_wav
    from models.records import Wave
    from models.so_vits_svc import networks
    from models.so_vits_svc.content import load_encoder
    from models.so_vits_svc.evaluation import Ear, SungClip, example_clip
    from models.so_vits_svc.examining import Examiner

    hearing = load_encoder(encoder, "cpu")
    held = [SungClip(p.stem, Wave(np.load(p)[None], RATE)) for p in sorted((work / "audio").glob("held-*.npy"))]
    target = np.asarray(card.likeness, np.float32)
    examiner = Examiner(config, card, hearing, Ear.load(encoder, hearing), [example_clip(8.0), *held], target)
    (work / "samples").mkdir(exist_ok=True)
    (work / "voice").mkdir(exist_ok=True)

    def enough(network: networks.Network, step: int) -> bool:
        rows = _rows(work / "examined.jsonl")
        if step in [row["step"] for row in rows] or (step % settings.examine_every and step != settings.steps):
            return False
        state = {k: v.detach() for k, v in network.state_dict().items() if not k.startswith(networks.UNUSED)}
        with torch.no_grad():
            verdict = examiner.examine(state)
        write_wav(verdict.sample, work / "samples" / f"{step:06d}.wav")
        before = max((row["score"] for row in rows if row["step"]), default=-np.inf)
        if step and verdict.score > before:
            save_file({k: v.half().contiguous() for k, v in state.items()}, work / "voice" / "model.safetensors")
        row = {"step": step, "score": verdict.score, **verdict.figures}
        _append(work / "examined.jsonl", row)
        scores = [row["score"] for row in [*rows, row] if row["step"]]
        return len(scores) > settings.patience and max(scores[-settings.patience :]) < max(scores)

    return enough


@task
def draw_curves(work: Path) -> Path:
    """The losses and the examinations over the steps as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    wanted = {
        "losses.jsonl": ("mel", "spectral", "features"),
        "examined.jsonl": ("like_target", "phones", "naturalness"),
    }
    figure, axes = pyplot.subplots(2, 3, figsize=(13, 6.5), layout="constrained")
    for row_of_axes, (file, keys) in zip(axes, wanted.items(), strict=True):
        for axis, key in zip(row_of_axes, keys, strict=True):
            shown = [row for row in _rows(work / file) if key in row]
            axis.plot([row["step"] for row in shown], [row[key] for row in shown], marker=".")
            axis.set(title=key, xlabel="step")
    figure.savefig(work / "curves.png", dpi=80, bbox_inches="tight")
    return work / "curves.png"


@flow(name="train-voice")
def train_voice(
    name: str,
    recordings: Path,
    work: Path,
    settings: VoiceTraining,
    material: MaterialSettings = MATERIAL,
    encoder: Path | None = None,
    start_from: Path | None = None,
) -> Path:
    """Sift a speaker's recordings, train on them, and leave the voice's folder in `work/voice`.

    `start_from` is the folder of a voice of the same size, whose weights are the first ones.
    """
    work.mkdir(parents=True, exist_ok=True)
    encoder = encoder or SHIPPED / Path(find("content_encoder", ENCODER).file).parent
    _same_as_before(work / "settings.json", asdict(settings))
    audio = gather(recordings, work, material, settings.seed)
    get_run_logger().info(sifted(work)["account"])
    heard = listen(audio, encoder, work, material.perturbed, settings.seed)
    voice = fit(heard, encoder, work, name, settings, start_from)
    draw_curves(work)
    return voice


def _same_as_before(kept: Path, given: dict[str, Any]) -> None:
    """Raise `BadInput` where the work folder was begun with other recordings or settings."""
    if kept.is_file() and json.loads(kept.read_text()) != json.loads(json.dumps(given)):
        raise BadInput(f"{kept.parent} was begun with other recordings or settings; delete it to begin anew.")
    kept.write_text(json.dumps(given))


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
    sifting = SiftSettings(denoise=given["denoise"])
    material = MaterialSettings(sift=sifting, **{name: given[name] for name in simple})
    name, recordings, work = given["name"], given["recordings"], given["work"]
    train_voice(name, recordings, work, settings, material, given["encoder"], given["start_from"])


if __name__ == "__main__":
    main()
