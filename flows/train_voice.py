"""Train a small voice: `python -m flows.train_voice NAME --recordings DIR --encoder DIR --work DIR`.

`--recordings` is a folder of one speaker's audio files, `--encoder` a trained content encoder. Stopped at any time, the
same command goes on from the last checkpoint, also with another encoder: what it hears is then prepared anew. The voice
is left in WORK/voice: weights, config and card; its record of consent is written by `remix voices add`.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path

from prefect import flow, get_run_logger, task

from models.so_vits_svc.training import VoiceTraining

RECORDINGS = (".flac", ".wav", ".ogg", ".opus", ".mp3")


@task
def gather(recordings: Path, work: Path, rate: int, sung: int, seed: int, held_out: int) -> Path:
    """Resample the recordings and make `sung` sung versions of each; the last `held_out` files are left out."""
    import numpy as np
    import soundfile
    import soxr

    from models.so_vits_svc.voice_corpus import sung_version

    folder = work / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in recordings.rglob("*") if p.suffix in RECORDINGS)
    for path in paths[: len(paths) - held_out]:
        samples, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
        audio = np.asarray(soxr.resample(samples.mean(axis=1), own_rate, rate), np.float32)
        audio *= 0.7 / max(float(np.abs(audio).max()), 1e-6)
        for version in range(sung + 1):
            target = folder / f"{path.stem}.{version}.npy"
            if target.exists():
                continue
            rng = np.random.default_rng([seed, len(audio), version])
            np.save(target.with_suffix(".part.npy"), sung_version(audio, rate, rng) if version else audio)
            target.with_suffix(".part.npy").replace(target)
    return folder


@task
def listen(audio: Path, encoder: Path, work: Path, name: str, seed: int) -> Path:
    """Pitch and content of every recording, in its own words and in two perturbations; done once an encoder."""
    import numpy as np
    import torch

    from models.registry import file_digest
    from models.so_vits_svc import voice_corpus, voice_training
    from models.so_vits_svc.content import load_encoder

    target = work / f"heard-{file_digest(encoder / 'model.safetensors')[:12]}.pt"
    if target.exists():
        return target
    torch.set_num_threads(1)
    heard = load_encoder(encoder, "cpu")
    data = voice_training.small_config(name)["data"]
    found = []
    for index, path in enumerate(sorted(p for p in audio.glob("*.npy") if ".part" not in p.name)):
        rng = np.random.default_rng([seed, index])
        one = voice_corpus.utterance(np.load(path), data["sampling_rate"], data["hop_length"], heard, 2, rng)
        tensors = (torch.from_numpy(one.audio).half(), torch.from_numpy(one.f0_hz), list(one.contents))
        found.append((path.stem, *tensors))
    torch.save(found, target.with_suffix(".part"))
    target.with_suffix(".part").replace(target)
    return target


@task
def fit(heard: Path, encoder: Path, work: Path, name: str, settings: VoiceTraining) -> Path:
    """Train from the last checkpoint; the losses go to `losses.jsonl`, the voice to `work/voice`."""
    import torch
    from safetensors.torch import save_file

    from models.so_vits_svc import networks, voice_corpus, voice_training
    from models.so_vits_svc.voices import Card, write_card

    torch.set_num_threads(1)
    loaded = torch.load(heard, weights_only=True)
    utterances = [voice_corpus.Utterance(a.float().numpy(), f0.numpy(), tuple(c)) for _, a, f0, c in loaded]
    config = voice_training.small_config(name, utterances[0].contents[0].shape[1])
    rate, hop = config["data"]["sampling_rate"], config["data"]["hop_length"]
    log = get_run_logger()
    log.info("%d utterances, %.0f s", len(utterances), sum(len(u.audio) for u in utterances) / rate)

    def report(row: dict[str, float]) -> None:
        log.info(" ".join(f"{key} {value:.3f}" for key, value in row.items()))
        with open(work / "losses.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")

    network = voice_training.fresh(config, settings.seed)
    voice_training.train(network, utterances, settings, work, report)
    folder = work / "voice"
    folder.mkdir(exist_ok=True)
    used = {k: v.half().contiguous() for k, v in network.state_dict().items() if not k.startswith(networks.UNUSED)}
    save_file(used, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    reach = voice_corpus.heard_range(utterances, hop / rate)
    spoken = sum(len(audio) for stem, audio, *_ in loaded if stem.endswith(".0")) / rate
    card = Card(name, "so-vits-svc", "", reach, "model.safetensors", encoder.name, heard_s=round(spoken, 1))
    write_card(card, folder)
    return folder


@task
def draw_curves(work: Path) -> Path:
    """The losses over the steps as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (work / "losses.jsonl").read_text().splitlines()]
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.5))
    for axis, key in zip(axes, ("mel", "spectral", "features"), strict=True):
        shown = [row for row in rows if key in row]
        axis.plot([row["step"] for row in shown], [row[key] for row in shown])
        axis.set(title=key, xlabel="step")
    figure.savefig(work / "curves.png", dpi=80, bbox_inches="tight")
    return work / "curves.png"


@flow(name="train-voice")
def train_voice(
    name: str, recordings: Path, encoder: Path, work: Path, settings: VoiceTraining, sung: int = 2, held_out: int = 2
) -> Path:
    """Gather a speaker's recordings, train on them, and leave the voice's folder in `work/voice`."""
    work.mkdir(parents=True, exist_ok=True)
    audio = gather(recordings, work, 22050, sung, settings.seed, held_out)
    heard = listen(audio, encoder, work, name, settings.seed)
    voice = fit(heard, encoder, work, name, settings)
    draw_curves(work)
    return voice


def main() -> None:
    """Read the command line and run the flow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sung", type=int, default=2, help="sung versions of each recording")
    parser.add_argument("--held-out", type=int, default=2, help="files left out")
    for field in fields(VoiceTraining):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    given = parser.parse_args()
    settings = VoiceTraining(**{field.name: getattr(given, field.name) for field in fields(VoiceTraining)})
    train_voice(given.name, given.recordings, given.encoder, given.work, settings, given.sung, given.held_out)


if __name__ == "__main__":
    main()
