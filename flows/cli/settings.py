"""`remix settings`: every option that `--set` takes."""

import json
import textwrap
from dataclasses import asdict
from typing import Annotated

import typer

from flows.cli.run import AsJson

_COLUMNS = 78


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(settings)


def settings(
    stage: Annotated[str, typer.Argument(help="Only the options that begin so, such as master or master.target.")] = "",
    as_json: AsJson = False,
) -> None:
    """Name every option that --set takes, with its default and what it does."""
    from flows.options import options

    found = [option for option in options() if option.name.startswith(stage)]
    if as_json:
        print(json.dumps([asdict(option) for option in found]))
        return
    for option in found:
        print(f"{option.name}={option.default}")
        if option.about:
            print(textwrap.fill(option.about, _COLUMNS, initial_indent="    ", subsequent_indent="    "))
