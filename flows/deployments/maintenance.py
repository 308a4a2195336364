"""The deployments beside the remix: training and the nightly collection, on registered names alone."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, Field

from flows.deployments.remix import honest
from flows.parameters import spread
from flows.service.collecting import collected
from flows.training.options import FETCHED, VoiceTrainingOptions
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


class ConsentForm(BaseModel):
    """The record of consent of a voice that the service trains."""

    who: str = Field(pattern=r"\S", description="Whose voice it is.")
    given_by: str = Field(pattern=r"\S", description="Who allowed it to be used.")
    ground: Literal["permission", "licence", "public domain", "no one's voice"] = Field(
        description="On what ground it may be used."
    )
    use: str = Field(pattern=r"\S", description="What it may be used for.")
    check: str = Field(pattern=r"\S", description="How the consent can be verified: a letter, a link or a licence.")
    until: date | None = Field(None, description="The last day the consent holds, if it ends.")


@flow(name="train-voice", flow_run_name="train the voice {name}", persist_result=False)
@honest
@spread(ConsentForm)
@spread(VoiceTrainingOptions)
def train_voice_named(name: Name, recordings: Data, consent: ConsentForm, options: VoiceTrainingOptions) -> State[Any]:
    """Train a voice on one speaker's recordings and take it in; without a record of consent that holds it is refused.

    Args:
        name: What the result is called; a run of the same name goes on where the last one was.
        recordings: The name of a registered folder of one speaker's recordings.
    """
    from flows.training.user_voice import NO_BASE, full_voice
    from flows.training.voice import train_voice
    from models.conversion.training.settings import VoiceTrainingSettings
    from models.conversion.voices.install import add_voice, check_name
    from models.conversion.voices.registry import Consent, check_record

    check_name(name)
    record = Consent(on=date.today(), **consent.model_dump())
    check_record(record)
    work, folder = _work("voice", name), find_folder(recordings)
    usual = options.encoder == VoiceTrainingOptions().encoder
    encoder = None if usual else find_folder(options.encoder)
    if encoder:
        find("content_encoder", encoder.name)  # a voice with another encoder could not sing
    if options.size == "full":
        base = options.base if options.base in (FETCHED, NO_BASE) else str(find_folder(options.base))
        settings = options.full_settings()
        made = full_voice(name, folder, work, settings, base=base, encoder=str(encoder or options.encoder))
    else:
        steps = VoiceTrainingSettings(steps=options.steps, seed=options.seed)
        made = train_voice(name, folder, work, steps, encoder=encoder)
    return Completed(message=f"The voice lies in {add_voice(name, made, record)}.")


@flow(name="train-music-transformer", flow_run_name="train the Music Transformer {name}", persist_result=False)
@honest
def train_music_transformer_named(name: Name, data: Data, steps: Steps = 4000, seed: Seed = 0) -> State[Any]:
    """Train a Music Transformer on a registered folder of MIDI collections and evaluate it on held-out songs.

    Args:
        name: What the result is called; a run of the same name goes on where the last one was.
        data: The name of a registered folder with a folder for each collection.
        steps: How long to train, in steps of the optimiser.
        seed: Where every random choice starts.
    """
    from flows.training.music_transformer import train_music_transformer
    from flows.training.options import TransformerOptions

    work = _work("music-transformer", name)
    out = work / f"{name}.safetensors"
    train_music_transformer(TransformerOptions(data=find_folder(data), work=work, out=out, steps=steps, seed=seed))
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
    from flows.training.options import SeparatorOptions
    from flows.training.separator import train_separator

    fonts = sorted(find_folder(soundfonts).glob("*.sf[23]"))
    if not fonts:
        raise BadInput(f"The folder {soundfonts!r} holds no SoundFont (.sf2 or .sf3).")
    work = _work("separator", name)
    options = SeparatorOptions(
        network=network,
        data=find_folder(data),
        midi=find_folder(midi),
        fonts=fonts,
        work=work,
        steps=steps,
        seed=seed,
    )
    figures = train_separator(options)
    words = ", ".join(f"{key} {value:.2f}" for key, value in figures.items())
    return Completed(message=f"The weights lie in {work / 'runs' / network}: {words}.")


def _work(kind: str, name: str) -> Path:
    """Where a training keeps what it needs to go on, and leaves what it made."""
    folder = home() / "training" / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
