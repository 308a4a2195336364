"""Every command of `remix`, by the file that has it."""

import typer

from flows.cli import batches, evaluation, maintenance, run, runs, serve, settings, stages, submit, voices

app = typer.Typer(
    name="remix",
    help="A song goes in; its voice is converted, its band is transcribed, continued and rendered anew.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
run.add_to(app)
stages.add_to(app)
settings.add_to(app)
submit.add_to(app)
runs.add_to(app)
batches.add_to(app)
serve.add_to(app)
evaluation.add_to(app)
voices.add_to(app)
maintenance.add_to(app)
