"""The deployments beside the remix: training and the nightly collection, on registered names alone."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.deployments.remix import honest
from flows.service.collecting import collected
from models.conversion.training.settings import FullTraining
from models.core.errors import BadInput
from models.core.registry import find, home
from models.core.validation import MAX_SEED
from tasks.runs.folders import find_folder

Limit = Annotated[float, Field(ge=0)]
Days = Annotated[int, Field(ge=0)]
Data = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$")]
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
Steps = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Segment = Annotated[int, Field(ge=4096, multiple_of=512)]
Rate = Annotated[float, Field(gt=0, ge=0, le=0.01)]
Words = Annotated[str, Field(pattern=r"\S")]
Share = Annotated[float, Field(ge=0, lt=1)]
FULL = FullTraining()
USUAL, FETCHED = "usual", "fetched"


@flow(name="collect-cache", persist_result=False)
@honest
def collect_cache(limit_gb: Limit = 20.0, remix_days: Days = 0, upload_days: Days = 0) -> State[Any]:
    """Throw out the least recently used results over the limit, here and in the shared store, and nothing in use.

    Old remixes and uploads are taken only where it is asked for, and none that a run or a batch still needs.

    Args:
        limit_gb: Keep at most this many GB of results and clips, on this machine and in the shared store each.
        remix_days: For how many days remixes are kept; 0 keeps them all. A batch does not make them again.
        upload_days: For how many days uploads are kept that no run used; 0 keeps them all.
    """
    rows = collected(limit_gb, remix_days, upload_days)
    create_table_artifact(rows, key="cache", description="What was removed, and what is kept to be reused")
    return Completed(message="; ".join(f"{row['what']}: {row['GB']:.2f} GB" for row in rows) + ".")


@flow(name="train-voice", flow_run_name="train the voice {name}", persist_result=False)
@honest
def train_voice_named(
    name: Name,
    recordings: Data,
    who: Words,
    given_by: Words,
    ground: Literal["permission", "licence", "public domain", "no one's voice"],
    use: Words,
    check: Words,
    until: date | None = None,
    encoder: Data = USUAL,
    steps: Steps = 4000,
    seed: Seed = 0,
    size: Literal["small", "full"] = "small",
    base: Data = FETCHED,
    epochs: Steps = FULL.epochs,
    batch_size: Steps = FULL.batch_size,
    segment_size: Segment = FULL.segment_size,
    learning_rate: Rate = FULL.learning_rate,
    beta1: Share = FULL.beta1,
    beta2: Share = FULL.beta2,
    weight_decay: Share = FULL.weight_decay,
    check_every: Steps = FULL.check_every,
    patience: Steps = FULL.patience,
) -> State[Any]:
    """Train a voice on one speaker's recordings and take it in; without a record of consent that holds it is refused.

    Args:
        name: What the result is called; a run of the same name goes on where the last one was.
        recordings: The name of a registered folder of one speaker's recordings.
        who: Whose voice it is.
        given_by: Who allowed it to be used.
        ground: On what ground it may be used.
        use: What it may be used for.
        check: How the consent can be verified, by a letter, a link or a licence.
        until: The last day the consent holds, if it ends.
        encoder: What hears the content: the name of a registered folder that holds a trained content encoder, or usual
            for the shipped one (small) or the fetched ContentVec (full).
        steps: How long to train a small voice, in steps of the optimiser.
        seed: Where every random choice starts.
        size: A small voice can be trained on a CPU; the full size of so-vits-svc-fork wants a GPU. What follows is for
            the full size alone.
        base: Where it starts from: the name of a registered folder with G_*.pth and D_*.pth, fetched for the weights
            sovits-768-base, or none.
        epochs: How often all pieces are heard at most; raised later, the run goes on.
        batch_size: How many pieces go into a step; half of it where memory runs out.
        segment_size: How many samples of each piece are decoded and judged, a multiple of 512.
        learning_rate: AdamW's learning rate at the start; it sinks a little each epoch.
        beta1: AdamW's memory of gradients, 0 to 1.
        beta2: AdamW's memory of squared gradients, 0 to 1.
        weight_decay: AdamW's pull of the weights towards zero.
        check_every: How many epochs lie between checks on pieces held out; the best voice is kept.
        patience: How many checks in a row may be no better before it stops.
    """
    from flows.training.user_voice import CONTENTVEC, NO_BASE, full_voice
    from flows.training.voice import train_voice
    from models.conversion.training.settings import VoiceTraining
    from models.conversion.voices.install import add_voice, check_name
    from models.conversion.voices.registry import Consent, check_record

    check_name(name)
    record = Consent(who, given_by, date.today(), use, ground, check, until)
    check_record(record)
    work, heard = _work("voice", name), find_folder(recordings)
    given = None if encoder == USUAL else find_folder(encoder)
    if given:
        find("content_encoder", given.name)  # a voice that hears by another could not sing
    if size == "full":
        settings = FullTraining(
            epochs, batch_size, segment_size, learning_rate, beta1, beta2, weight_decay,
            seed=seed, check_every=check_every, patience=patience,
        )  # fmt: skip
        begins = base if base in (FETCHED, NO_BASE) else str(find_folder(base))
        folder = full_voice(name, heard, work, settings, base=begins, encoder=str(given or CONTENTVEC))
    else:
        folder = train_voice(name, heard, work, VoiceTraining(steps=steps, seed=seed), encoder=given)
    return Completed(message=f"The voice lies in {add_voice(name, folder, record)}.")


@flow(name="train-music-transformer", flow_run_name="train the Music Transformer {name}", persist_result=False)
@honest
def train_music_transformer_named(name: Name, data: Data, steps: Steps = 4000, seed: Seed = 0) -> State[Any]:
    """Train a Music Transformer on a registered folder of MIDI collections and judge it on held-out songs.

    Args:
        name: What the result is called; a run of the same name goes on where the last one was.
        data: The name of a registered folder with a folder for each collection.
        steps: How long to train, in steps of the optimiser.
        seed: Where every random choice starts.
    """
    from flows.training.music_transformer import train_music_transformer

    work = _work("music-transformer", name)
    out = work / f"{name}.safetensors"
    train_music_transformer(find_folder(data), work, out, steps=steps, seed=seed)
    return Completed(message=f"The weights lie in {out}.")


@flow(name="train-separator", flow_run_name="train the separator {network} as {name}", persist_result=False)
@honest
def train_separator_named(
    name: Name,
    network: Literal["band-mask", "lead-backing", "mask-cnn"],
    data: Data,
    midi: Data,
    soundfonts: Data,
    steps: Steps = 3000,
    seed: Seed = 1,
) -> State[Any]:
    """Train a separator on registered folders: songs and voices, MIDI to render, and SoundFonts to render it with.

    Args:
        name: What the result is called; a run of the same name goes on where the last one was.
        network: Which kind of network to train.
        data: The name of a registered folder with songs/ and voice/.
        midi: The name of a registered folder of MIDI files to render.
        soundfonts: The name of a registered folder of SoundFonts to render them with.
        steps: How long to train, in steps of the optimiser.
        seed: Where every random choice starts.
    """
    from flows.training.separator import train_separator

    fonts = sorted(find_folder(soundfonts).glob("*.sf[23]"))
    if not fonts:
        raise BadInput(f"The folder {soundfonts!r} holds no SoundFont (.sf2 or .sf3).")
    work = _work("separator", name)
    figures = train_separator(
        network=network,
        data=find_folder(data),
        midi=find_folder(midi),
        fonts=fonts,
        work=work,
        steps=steps,
        batch=4,
        bands=200,
        sung=100,
        seed=seed,
    )
    words = ", ".join(f"{key} {value:.2f}" for key, value in figures.items())
    return Completed(message=f"The weights lie in {work / 'runs' / network}: {words}.")


def _work(kind: str, name: str) -> Path:
    """Where a training keeps what it needs to go on, and leaves what it made."""
    folder = home() / "training" / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
