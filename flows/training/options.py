"""Options of the trainings, written once: command lines and the deployments' forms are made from them."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from flows.options import Device
from flows.parameters import FormName
from models.conversion.training.settings import FullTrainingSettings
from models.core.validation import MAX_SEED

_FULL = FullTrainingSettings()
STEPS = 600
Source = Literal["pop909", "freedoom", "openmsx", "nottingham", "groove"]
SOURCES: tuple[Source, ...] = get_args(Source)
"""The MIDI collections that a Music Transformer can be trained on."""
FETCHED = "fetched"
_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_FONTS: dict[str, Any] = {"flag": "--font"}
_PANEL: dict[str, Any] = {"panel": "With --engine so-vits-svc --size full"}


def _full(default: Any, description: str, unit: str = "", **limits: Any) -> Any:
    """A field that only full-size training has."""
    return Field(
        default, description=description, json_schema_extra=_PANEL | ({"unit": unit} if unit else {}), **limits
    )


Share = Annotated[float, Field(ge=0, lt=1)]


class VoiceTrainingOptions(BaseModel):
    """What can be chosen for training a voice; fields after `base` are for the full size alone."""

    model_config = _FROZEN

    size: Literal["small", "full"] = Field(
        "small",
        description="small, trained from lj on a CPU; or full, so-vits-svc-fork's own size, for a GPU.",
    )
    steps: int = Field(
        STEPS,
        ge=1,
        description="How long a small voice is trained; it stops early when it gets no better.",
        json_schema_extra={"unit": "optimiser steps"},
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Where every random choice starts.")
    base: Annotated[str, FormName()] = _full(
        FETCHED,
        "Where a full-size voice starts from: a folder of G_*.pth and D_*.pth (of the service: its registered name), "
        "fetched for the weights sovits-768-base, or none.",
    )
    encoder: Annotated[str, FormName()] = _full(
        "contentvec",
        "The content encoder: contentvec, hubert-small, or a folder of such a name (registered, of the service).",
    )
    device: Device = _full("auto", "Where it is trained.")
    epochs: int = _full(
        _FULL.epochs, "How often all pieces are used at most; raised later, the training goes on.", ge=1
    )
    batch_size: int = _full(_FULL.batch_size, "Pieces a step; halved where memory runs out.", ge=1)
    segment_size: int = _full(
        _FULL.segment_size, "What of each piece is decoded; a multiple of 512.", "samples", ge=4096, multiple_of=512
    )
    learning_rate: float = _full(
        _FULL.learning_rate, "AdamW's learning rate at the start; it decays a little each epoch.", ge=1e-7, le=1e-2
    )
    beta1: Share = _full(_FULL.beta1, "AdamW's beta1, the decay of the gradient's running mean.")
    beta2: Share = _full(_FULL.beta2, "AdamW's beta2, the decay of the squared gradient's running mean.")
    weight_decay: Share = _full(_FULL.weight_decay, "AdamW's weight decay.")
    check_every: int = _full(
        _FULL.check_every, "How often it is evaluated on held-out pieces; the best checkpoint is kept.", "epochs", ge=1
    )
    patience: int = _full(_FULL.patience, "Evaluations in a row without improvement before it stops.", ge=1)

    def full_settings(self) -> FullTrainingSettings:
        """The settings of a full-size training."""
        names = ("epochs", "batch_size", "segment_size", "learning_rate", "beta1", "beta2", "weight_decay")
        given = {name: getattr(self, name) for name in (*names, "check_every", "patience", "seed")}
        return FullTrainingSettings(**given)


FULL_ONLY = tuple(
    name
    for name, field in VoiceTrainingOptions.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and "panel" in field.json_schema_extra
)
"""The fields that only full-size training has."""


class SeparatorOptions(BaseModel):
    """What can be chosen for training a separator."""

    model_config = _FROZEN

    network: Literal["band-mask", "lead-backing", "mask-cnn"] = Field(description="The kind of network.")
    data: Path = Field(description="A folder with songs/ and voice/.")
    midi: Path = Field(description="A folder of MIDI files to render.")
    fonts: list[Path] = Field(description="SoundFonts to render with.", json_schema_extra=_FONTS)
    work: Path = Field(description="Where data, checkpoints and results go.")
    steps: int = Field(3000, ge=1, description="Optimizer steps.")
    batch: int = Field(4, ge=1, description="Mixes a step.")
    bands: int = Field(200, ge=0, description="Passages rendered from MIDI.")
    sung: int = Field(100, ge=0, description="Passages of singing synthesised from speech.")
    seed: int = Field(1, ge=0, le=MAX_SEED, description="Where every random choice starts.")
    start_from: Path | None = Field(None, description="Weights (.safetensors) that a new run starts from.")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="While training.")


class BeatTrackerOptions(BaseModel):
    """What can be chosen for training the beat tracker."""

    model_config = _FROZEN

    midi: Path = Field(description="A folder with pop909/ and groove/.")
    fonts: list[Path] = Field(description="SoundFonts; songs take turns.", json_schema_extra=_FONTS)
    work: Path = Field(description="Where features and checkpoints go.")
    out: Path = Field(description="The file of the weights; a plot of the losses goes beside it.")
    songs: int = Field(500, ge=1, description="Songs in training.")
    steps: int = Field(5000, ge=1, description="Optimizer steps.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Where every random choice starts.")
    separator: str = Field("band-mask", description="The network that separates the songs.")


class ContentEncoderOptions(BaseModel):
    """What can be chosen for training a content encoder, beside its `EncoderTrainingSettings`."""

    model_config = _FROZEN

    data: Path = Field(description="A folder with recordings below voice/, and songs/*/lead_vocals.ogg.")
    work: Path = Field(description="Where the corpus, checkpoints and results go.")
    hours: float = Field(3.0, ge=0, description="Hours of synthetic speech.")
    leave_out: list[str] = Field(["vctk", "3_sodium"], description="Folders kept for evaluation.")


class VoiceOptions(BaseModel):
    """What can be chosen for training a small voice by its module, beside its settings."""

    model_config = _FROZEN

    name: str = Field(description="The voice's name.", json_schema_extra={"flag": "name"})
    recordings: Path = Field(description="A folder of one speaker's audio files.")
    work: Path = Field(description="Where data, checkpoints and the voice go.")
    encoder: Path | None = Field(None, description="Folder of a content encoder instead of the shipped one.")
    start_from: Path | None = Field(None, description="Folder of a voice to start from.")
    denoise: bool = Field(False, description="Reduce steady noise in the recordings first.")


class TransformerOptions(BaseModel):
    """What can be chosen for training a Music Transformer.

    Where `transcribed` is not 0, so many songs of the training set are first rendered, separated and transcribed (about
    15 s of a core each), so that prompts in training have the pipeline's transcription errors.
    """

    model_config = _FROZEN

    data: Path = Field(description="A folder with a folder for each MIDI collection.")
    work: Path = Field(description="Where the pieces, the split and checkpoints go.")
    out: Path = Field(description="The file of the weights; metrics and a plot go beside it.")
    sources: tuple[Source, ...] = Field(SOURCES, description=f"Collections: {', '.join(SOURCES)}.")
    steps: int = Field(4000, ge=1, description="Optimizer steps of 4,096 events each.")
    minutes: float = Field(0.0, ge=0, description="Training time, instead of steps.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Where every random choice starts.")
    songs: int = Field(40, ge=1, description="Held-out songs evaluated in each group, at most.")
    bfloat16: bool = Field(False, description="Matrix products in bfloat16, for processors that have it.")
    start_from: Path | None = Field(None, description="Weights of this shape to start from.")
    blend: float = Field(
        1.0,
        ge=0,
        le=1,
        description="The share of the new weights beside those of start_from (Wortsman et al., 2022).",
    )
    transcribed: int = Field(0, ge=0, description="Songs to transcribe, for prompts with transcription errors.")
    recipe: dict[str, Any] = Field({}, description="Further fields of the Recipe, as JSON.")
    width: int | None = Field(None, description="Width of the network.")
    layers: int | None = Field(None, description="Layers of the network.")
    heads: int | None = Field(None, description="Attention heads of a layer.")
    context: int | None = Field(None, description="Longest context in events.")
    positions: Literal["rotary", "relative"] | None = Field(None, description="Kind of position encoding.")

    @property
    def size(self) -> dict[str, Any]:
        """Fields of the network's `Config` that are given."""
        names = ("width", "layers", "heads", "context", "positions")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
