"""Every command of `remix`, by the file that has it."""

import typer

from flows.cli import (
    batches,
    evaluation,
    housekeeping,
    remixing,
    runs,
    serving,
    settings,
    stages,
    submitting,
    voices,
)

app = typer.Typer(
    name="remix",
    help="A song goes in; its voice is sung by somebody else, its band is transcribed, played on and rendered anew.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
remixing.add_to(app)
stages.add_to(app)
settings.add_to(app)
submitting.add_to(app)
runs.add_to(app)
batches.add_to(app)
serving.add_to(app)
evaluation.add_to(app)
voices.add_to(app)
housekeeping.add_to(app)
