"""`remix voices list|show|add|train|remove`: who can sing, on what ground, and taking a voice in or letting it go."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.consenting import Check, GivenBy, Ground, Until, Use, Who, consent_of
from flows.cli.housekeeping import show_rows
from flows.cli.remixing import AsJson, console
from flows.cli.voice_training import train
from models.errors import BadInput

Name = Annotated[str, typer.Argument(help="The voice's name.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(help="The voices that can sing.", no_args_is_help=True)
    for command in (list_, show, add, train, remove):
        group.command(command.__name__.rstrip("_"))(command)
    app.add_typer(group, name="voices")


def list_(as_json: AsJson = False) -> None:
    """Name every installed voice, on what ground it may be used, and whether its record of consent holds."""
    from models.so_vits_svc.voices import card, consent, voices

    rows = []
    for name, folder in voices().items():
        try:
            title, ground = card(folder).title, consent(folder).ground
        except BadInput as error:
            title, ground = "", f"refused: {error}"
        rows.append({"voice": name, "title": title, "ground": ground})
    show_rows(rows, as_json)


def show(name: Name, as_json: AsJson = False) -> None:
    """Tell all that is known of a voice: range, material, measures, licence and record of consent."""
    from models.so_vits_svc.voices import card, consent, find_voice

    folder = find_voice(name)
    described = card(folder)
    known: dict[str, Any] = {"voice": name, "title": described.title, "engine": described.engine}
    known |= {"licence": described.licence, "recordings_s": described.heard_s, "range": described.range.compass}
    known |= dict(described.figures)
    try:
        known |= {f"consent_{key}": value for key, value in asdict(consent(folder)).items() if value is not None}
    except BadInput as error:
        known["consent"] = str(error)
    known["folder"] = str(folder)
    if as_json:
        print(json.dumps(known, default=str))
        return
    show_rows([{"what": key, "is": value} for key, value in known.items()], False)


def add(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Holds G_*.pth or model.safetensors, and config.json.")],
    who: Who = "",
    given_by: GivenBy = "",
    ground: Ground = "",
    use: Use = "",
    check: Check = "",
    until: Until = None,
) -> None:
    """Take in a voice trained elsewhere, with its record of consent; without one it is refused."""
    from models.so_vits_svc.installing import add_voice, check_name

    check_name(name)
    answers = {"who": who, "given_by": given_by, "ground": ground, "use": use, "check": check}
    print(add_voice(name, folder, consent_of(answers, until)))


def remove(name: Name) -> None:
    """Delete a voice of yours, and every kept result that holds it."""
    from models.so_vits_svc.installing import remove_voice
    from tasks.sung import forget

    remove_voice(name)
    console.print(f"{name} is gone, and {forget(name)} kept results with it.", highlight=False)
