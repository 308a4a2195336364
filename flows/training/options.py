"""What can be chosen for training a voice, written once: the command line and the deployment's form are made of it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flows.options import Device
from flows.parameters import FormName
from models.conversion.training.settings import FullTraining
from models.core.validation import MAX_SEED

_FULL = FullTraining()
STEPS = 600
FETCHED = "fetched"
_PANEL: dict[str, Any] = {"panel": "With --engine so-vits-svc --size full"}


def _full(default: Any, description: str, unit: str = "", **limits: Any) -> Any:
    """A field that only full-size training has."""
    return Field(
        default, description=description, json_schema_extra=_PANEL | ({"unit": unit} if unit else {}), **limits
    )


Share = Annotated[float, Field(ge=0, lt=1)]


class VoiceTrainingOptions(BaseModel):
    """What can be chosen for training a voice; fields after `base` are for the full size alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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

    def full_settings(self) -> FullTraining:
        """The settings of a full-size training."""
        names = ("epochs", "batch_size", "segment_size", "learning_rate", "beta1", "beta2", "weight_decay")
        given = {name: getattr(self, name) for name in (*names, "check_every", "patience", "seed")}
        return FullTraining(**given)


FULL_ONLY = tuple(
    name
    for name, field in VoiceTrainingOptions.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and "panel" in field.json_schema_extra
)
"""The fields that only full-size training has."""
