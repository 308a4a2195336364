"""A voice from a user's recordings: the shipped one fine-tuned, a full-size one trained, or a kNN pool of frames."""

from pathlib import Path

from prefect import flow, task

from flows.devices import resolved
from flows.options import Device
from flows.training.voice import FULL, train_voice
from flows.training.voice_data import SMALL, MaterialSettings, gather, selection_report
from flows.training.voice_validation import ENCODER
from models.conversion.training.settings import FullTrainingSettings, SelectionSettings, VoiceTrainingSettings
from models.conversion.voices.registry import consent, find_voice
from models.core.errors import BadInput
from models.core.registry import find, verified

CONTENTVEC = "contentvec"
"""The content encoder that the fork's base checkpoints were trained with; it is fetched."""
FETCHED, NO_BASE = "fetched", "none"
"""Names of where a full-size voice can start from, beside a folder."""


@flow(name="train-user-voice", flow_run_name="train {name}", persist_result=False)
def user_voice(
    name: str,
    recordings: Path,
    work: Path,
    engine: str = "so-vits-svc",
    steps: int = 600,
    denoise: bool = False,
    seed: int = 0,
) -> Path:
    """Make a user's voice in minutes on a CPU; returns its folder, which `add_voice` takes in.

    "so-vits-svc" fine-tunes the shipped voice for so many steps, and is refused where that one was revoked; "knn" keeps
    a pool of the recordings' content frames.
    """
    if engine not in ("so-vits-svc", "knn"):
        raise BadInput(f"A voice is made by so-vits-svc or knn, not {engine!r}.")
    selection = SelectionSettings(denoise=denoise)
    if engine == "knn":
        work.mkdir(parents=True, exist_ok=True)
        gather(recordings, work, MaterialSettings(sung=0, held_out=0, selection=selection), seed, SMALL.rate)
        return build_knn_voice(work, name, seed)
    start = find_voice("lj")
    consent(start)
    settings = VoiceTrainingSettings(
        steps=steps, batch=4, learning_rate=5e-4, warmup=30, decoder_from=0, discriminator_from=steps // 3, seed=seed,
        checkpoint_every=50, validate_every=150, patience=3,
    )  # fmt: skip
    material = MaterialSettings(sung=1, perturbed=2, most_s=300.0, selection=selection)
    made: Path = train_voice(name, recordings, work, settings, material, start_from=start)
    return made


def full_voice(
    name: str,
    recordings: Path,
    work: Path,
    settings: FullTrainingSettings,
    denoise: bool = False,
    base: str = FETCHED,
    encoder: str = CONTENTVEC,
    device: Device = "auto",
) -> Path:
    """Train a full-size voice, in hours on a GPU; returns its folder, which `add_voice` takes in.

    `base` is a folder of base checkpoints, "fetched" or "none"; `encoder` the manifest's name of a content encoder or
    a folder of that name. Raises `BadInput` where something is not fetched, or the machine lacks the device.
    """
    if settings.segment_size < 8 * FULL.hop or settings.segment_size % FULL.hop:
        raise BadInput(
            f"A segment is a multiple of {FULL.hop} samples and 8 of them or more, not {settings.segment_size}."
        )
    on = resolved(device)
    folder = Path(encoder)
    known = find("content_encoder", folder.name)  # conversion loads encoders by their names in the manifest
    encoder_folder = folder if folder.is_dir() else verified(known).parent
    material = MaterialSettings(sung=0, perturbed=0, most_s=3600.0, selection=SelectionSettings(denoise=denoise))
    start = None if (work / "checkpoint.pt").is_file() else start_folder(base)
    made: Path = train_voice(name, recordings, work, settings, material, encoder_folder, start, on)
    return made


def start_folder(base: str) -> Path | None:
    """The folder of base checkpoints that `base` names, or None; raises `BadInput` for a folder without them."""
    from models.conversion.training.base_checkpoints import base_pair, fetched_base_folder

    if base == NO_BASE:
        return None
    folder = fetched_base_folder() if base == FETCHED else Path(base)
    base_pair(folder)
    return folder


@task
def build_knn_voice(work: Path, name: str, seed: int) -> Path:
    """A kNN voice of the selected segments, in `work/voice`."""
    import numpy as np

    from models.analysis.f0 import track_f0
    from models.analysis.settings import F0Settings
    from models.conversion.content import load_encoder
    from models.conversion.engines.knn import POOL_FILE, build_pool
    from models.conversion.training.voice_dataset import vocal_range_of
    from models.conversion.voices.registry import Card, write_card
    from models.core.types import Wave

    report = selection_report(work)
    segments = [Wave(np.load(path)[None], SMALL.rate) for path in sorted((work / "audio").glob("piece-*.npy"))]
    folder = work / "voice"
    folder.mkdir(exist_ok=True)
    weights = verified(find("content_encoder", ENCODER)).parent
    build_pool(segments, load_encoder(weights, "cpu"), seed=seed).save(folder / POOL_FILE)
    tracks = [track_f0(segment, F0Settings()) for segment in segments]
    vocal_range = vocal_range_of([track.hz for track in tracks], tracks[0].hop_s)
    embedding = tuple(report["speaker"])
    made = Card(
        name,
        "knn",
        "the user's own",
        vocal_range,
        POOL_FILE,
        ENCODER,
        training_s=report["kept_s"],
        speaker_embedding=embedding,
    )
    write_card(made, folder)
    return folder
