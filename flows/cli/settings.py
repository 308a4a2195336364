"""`remix settings`: every setting that `--set` takes."""

import json
import textwrap
from dataclasses import asdict
from typing import Annotated

import typer

from flows.cli.run import AsJson

_COLUMNS = 78


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("settings")(list_settings)


def list_settings(
    stage: Annotated[
        str, typer.Argument(help="Only the settings that begin so, such as master or master.target.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Name every setting that --set takes, with its default, range, unit and what it does."""
    from flows.stage_settings import all_settings

    settings = [setting for setting in all_settings() if setting.name.startswith(stage)]
    if as_json:
        print(json.dumps([asdict(setting) for setting in settings]))
        return
    for setting in settings:
        limits = f"{setting.range[0]:g} to {setting.range[1]:g}" if setting.range else ""
        comment = f"{limits} {setting.unit}".strip()
        print(f"{setting.name}={setting.default}{'  # ' if comment else ''}{comment}")
        if setting.about:
            print(textwrap.fill(setting.about, _COLUMNS, initial_indent="    ", subsequent_indent="    "))
