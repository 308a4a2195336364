"""`remix voices train`: a voice made of recordings, small on a CPU or of full size on a GPU."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.consent import Check, GivenBy, Ground, Until, Use, Who, consent_of
from flows.cli.run import Device, Seed, console
from models.conversion.training.settings import FullTraining
from models.core.errors import BadInput

IN_TUNE = 0.92
"""The share within 50 cents from which on a voice is thought in tune."""
STEPS = 600
_FULL = FullTraining()
_BEGINNINGS: dict[str, Any] = {"base": "fetched", "encoder": "contentvec", "device": "auto"}


class Size(StrEnum):
    """How large a network is trained."""

    small = "small"
    full = "full"


def _full(text: str, **limits: Any) -> Any:
    """An option that only full-size training has."""
    return typer.Option(help=text, rich_help_panel="With --engine so-vits-svc --size full", **limits)


def train(
    name: Annotated[str, typer.Argument(help="The voice's name.")],
    folder: Annotated[Path, typer.Argument(help="Recordings of one voice: any length, any common format.")],
    who: Who = "",
    given_by: GivenBy = "",
    ground: Ground = "",
    use: Use = "",
    check: Check = "",
    until: Until = None,
    engine: Annotated[str, typer.Option(help="knn, made at once; or so-vits-svc, a network that is trained.")] = "knn",
    size: Annotated[
        Size, typer.Option(help="With so-vits-svc: small, trained on from lj on a CPU; or full, the fork's, for a GPU.")
    ] = Size.small,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps of training a small voice; it stops early when it gets no better.")
    ] = STEPS,
    denoise: Annotated[bool, typer.Option("--denoise", help="Take steady noise out of the recordings first.")] = False,
    seed: Seed = 0,
    base: Annotated[
        str,
        _full(
            "Where it starts from: a folder of G_*.pth and D_*.pth, fetched (sovits-768-base of the weights), or none."
        ),
    ] = _BEGINNINGS["base"],
    encoder: Annotated[
        str, _full("What hears its content: contentvec, hubert-small, or a folder of that name.")
    ] = _BEGINNINGS["encoder"],
    device: Annotated[Device, _full("Where it is trained.")] = Device.auto,
    epochs: Annotated[
        int, _full("How often all pieces are heard at most; raise it later to go on.", min=1)
    ] = _FULL.epochs,
    batch_size: Annotated[int, _full("Pieces a step; half of it where memory runs out.", min=1)] = _FULL.batch_size,
    segment_size: Annotated[
        int, _full("Samples of each piece that are decoded and judged, a multiple of 512.", min=4096)
    ] = _FULL.segment_size,
    learning_rate: Annotated[
        float, _full("AdamW's at the start; it sinks a little each epoch.", min=1e-7, max=1e-2)
    ] = _FULL.learning_rate,
    beta1: Annotated[float, _full("AdamW's memory of gradients.", min=0.0, max=0.999)] = _FULL.beta1,
    beta2: Annotated[float, _full("AdamW's memory of their squares.", min=0.0, max=0.99999)] = _FULL.beta2,
    weight_decay: Annotated[float, _full("AdamW's pull of weights towards zero.", min=0.0)] = _FULL.weight_decay,
    check_every: Annotated[
        int, _full("Epochs between checks on pieces held out; the best voice is kept.", min=1)
    ] = _FULL.check_every,
    patience: Annotated[int, _full("Checks in a row that may be no better before it stops.", min=1)] = _FULL.patience,
) -> None:
    """Make a voice of recordings; training that was stopped at any time goes on by the same command."""
    given: dict[str, Any] = {
        "epochs": epochs, "batch_size": batch_size, "segment_size": segment_size, "learning_rate": learning_rate,
        "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay, "check_every": check_every, "patience": patience,
    }  # fmt: skip
    beginnings: dict[str, Any] = {"base": base, "encoder": encoder, "device": device.value}
    _check_options(engine, size, steps, given | beginnings)
    answers = {"who": who, "given_by": given_by, "ground": ground, "use": use, "check": check}
    from flows.cli.server import server
    from models.conversion.voices.install import add_voice, check_name
    from models.core.registry import home

    check_name(name)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder of recordings.")
    record = consent_of(answers, until)
    with server() as ready:
        with console.status("Starting"):
            from flows.cli.live import shown
            from flows.training.user_voice import full_voice, user_voice

            ready()
        work = home() / "training" / name
        with shown(console):
            if size is Size.full:
                settings = FullTraining(seed=seed, **given)
                made = full_voice(name, folder, work, settings, denoise, **beginnings)
            else:
                made = user_voice(name, folder, work, engine, steps, denoise, seed)
    _tell(made, work)
    print(add_voice(name, made, record))


def _check_options(engine: str, size: Size, steps: int, given: Mapping[str, Any]) -> None:
    """Raise `BadInput` where an option was given that this kind of voice does not have."""
    full = size is Size.full
    if full and engine != "so-vits-svc":
        raise BadInput(f"Only --engine so-vits-svc has a full size, not {engine!r}.")
    if full and steps != STEPS:
        raise BadInput("A full-size voice is trained for --epochs, not for --steps.")
    usual = asdict(_FULL) | _BEGINNINGS
    other = [f"--{name.replace('_', '-')}" for name, value in given.items() if value != usual[name]]
    if other and not full:
        raise BadInput(f"Only a voice of --engine so-vits-svc --size full has {', '.join(other)}.")


def _tell(made: Path, work: Path) -> None:
    """Say what was heard, where curves and samples are, and whether the voice is in tune."""
    from flows.training.voice_data import sifted
    from models.conversion.voices.registry import card

    console.print(sifted(work)["account"], highlight=False, markup=False)
    console.print(f"Curves, samples and measures of the training lie in {work}.", highlight=False)
    tuned = card(made).metrics.get("within_50", 1.0)
    if tuned < IN_TUNE:
        console.print(
            f"Only {100 * tuned:.0f} % of what it sings is in tune; longer training or --engine knn may help."
        )
