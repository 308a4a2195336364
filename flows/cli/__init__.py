"""The command `remix`: songs remixed, each stage alone, and what is kept looked after."""

import os
import sys

import typer

from flows.cli import batches, evaluation, housekeeping, leaving, remixing, runs, serving, stages, voices

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
runs.add_to(app)
batches.add_to(app)
serving.add_to(app)
evaluation.add_to(app)
voices.add_to(app)
housekeeping.add_to(app)


def main() -> None:
    """Run the command line; exits with 0 done, 2 bad input or usage, 1 a fault of ours, 130 stopped."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    if not debug:
        for name in ("PREFECT_LOGGING_LEVEL", "PREFECT_SERVER_LOGGING_LEVEL", "PREFECT_INTERNAL_LOGGING_LEVEL"):
            os.environ.setdefault(name, "CRITICAL")
    leaving.stop_on_interrupt()
    leaving.exit_with(lambda: leaving.guarded(app, debug))
