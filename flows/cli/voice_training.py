"""`remix voices train`: a voice made of recordings, small on a CPU or of full size on a GPU."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.consent import ConsentAnswers, consent_of
from flows.cli.run import console
from flows.command_options import options_of
from flows.training.options import FULL_ONLY, STEPS, VoiceTrainingOptions
from models.core.errors import BadInput

IN_TUNE = 0.92
"""The share within 50 cents from which on a voice counts as in tune."""


@options_of(ConsentAnswers)
@options_of(VoiceTrainingOptions)
def train(
    name: Annotated[str, typer.Argument(help="The voice's name.")],
    folder: Annotated[Path, typer.Argument(help="Recordings of one voice: any length, any common format.")],
    answers: ConsentAnswers,
    options: VoiceTrainingOptions,
    engine: Annotated[str, typer.Option(help="knn, made at once; or so-vits-svc, a network that is trained.")] = "knn",
    denoise: Annotated[bool, typer.Option("--denoise", help="Take steady noise out of the recordings first.")] = False,
) -> None:
    """Make a voice of recordings; training that was stopped at any time goes on by the same command."""
    _check_options(engine, options)
    from flows.cli.server import server
    from models.conversion.voices.install import add_voice, check_name
    from models.core.registry import home

    check_name(name)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder of recordings.")
    record = consent_of(answers)
    with server() as ready:
        with console.status("Starting"):
            from flows.cli.live import shown
            from flows.training.user_voice import full_voice, user_voice

            ready()
        work = home() / "training" / name
        with shown(console):
            if options.size == "full":
                made = full_voice(
                    name, folder, work, options.full_settings(), denoise, options.base, options.encoder, options.device
                )
            else:
                made = user_voice(name, folder, work, engine, options.steps, denoise, options.seed)
    _tell(made, work)
    print(add_voice(name, made, record))


def _check_options(engine: str, options: VoiceTrainingOptions) -> None:
    """Raise `BadInput` where an option was given that this kind of voice does not have."""
    full = options.size == "full"
    if full and engine != "so-vits-svc":
        raise BadInput(f"Only --engine so-vits-svc has a full size, not {engine!r}.")
    if full and options.steps != STEPS:
        raise BadInput("A full-size voice is trained for --epochs, not for --steps.")
    usual = VoiceTrainingOptions()
    other = [name for name in FULL_ONLY if getattr(options, name) != getattr(usual, name)]
    if other and not full:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in other)
        raise BadInput(f"Only a voice of --engine so-vits-svc --size full has {flags}.")


def _tell(made: Path, work: Path) -> None:
    """Print what the recordings gave, where curves and samples are, and whether the voice is in tune."""
    from flows.training.voice_data import selection_report
    from models.conversion.voices.registry import card

    console.print(selection_report(work)["account"], highlight=False, markup=False)
    console.print(f"Curves, samples and measures of the training lie in {work}.", highlight=False)
    tuned = card(made).metrics.get("within_50", 1.0)
    if tuned < IN_TUNE:
        console.print(
            f"Only {100 * tuned:.0f} % of what it sings is in tune; longer training or --engine knn may help."
        )
