"""`remix voices list|show|add|train|revoke|remove`: installed voices, their consent, adding and removing them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.consent import ConsentAnswers, consent_of
from flows.cli.maintenance import show_rows
from flows.cli.run import AsJson, console
from flows.cli.voice_training import train
from flows.command_options import options_of
from models.core.errors import BadInput

Name = Annotated[str, typer.Argument(help="The voice's name.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(help="The voices that can sing.", no_args_is_help=True)
    for command in (list_, show, add, train, revoke, remove):
        group.command(command.__name__.rstrip("_"))(command)
    app.add_typer(group, name="voices")


def list_(as_json: AsJson = False) -> None:
    """Name every installed voice, on what ground it may be used, and whether its record of consent holds."""
    from models.conversion.voices.registry import broken_voices, voices

    rows = [{"voice": name, **_standing(name, folder)} for name, folder in (voices() | broken_voices()).items()]
    show_rows(rows, as_json)


def _standing(name: str, folder: Path) -> dict[str, str]:
    """What a voice is called, and on what ground it may be used or why not."""
    from models.conversion.voices.registry import card, consent
    from models.conversion.voices.revocation import revoked_on

    try:
        title = card(folder).title
    except BadInput as error:
        return {"title": "", "ground": f"broken: {error}"}
    try:
        return {"title": title, "ground": consent(folder).ground}
    except BadInput as error:
        day = revoked_on(name)
        return {"title": title, "ground": f"revoked on {day}" if day else f"refused: {error}"}


def show(name: Name, as_json: AsJson = False) -> None:
    """Tell all that is known of a voice: range, material, measures, licence and record of consent."""
    from models.conversion.voices.registry import card, consent, find_voice

    folder = find_voice(name)
    described = card(folder)
    known: dict[str, Any] = {"voice": name, "title": described.title, "engine": described.engine}
    known |= {"licence": described.licence, "recordings_s": described.training_s, "range": described.range.compass}
    known |= dict(described.metrics)
    try:
        known |= {f"consent_{key}": value for key, value in asdict(consent(folder)).items() if value is not None}
    except BadInput as error:
        known["consent"] = str(error)
    known["folder"] = str(folder)
    if as_json:
        print(json.dumps(known, default=str))
        return
    show_rows([{"what": key, "is": value} for key, value in known.items()], False)


Speaker = Annotated[str | None, typer.Option(help="Which speaker of a checkpoint, by name or number.")]


@options_of(ConsentAnswers)
def add(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Holds G_*.pth or model.safetensors, and config.json.")],
    answers: ConsentAnswers,
    speaker: Speaker = None,
) -> None:
    """Take in a voice trained elsewhere, with its record of consent; without one it is refused."""
    from models.conversion.voices.install import add_voice, check_name

    check_name(name)
    print(add_voice(name, folder, consent_of(answers), speaker))


def remove(
    name: Name,
    keep_training: Annotated[
        bool, typer.Option("--keep-training", help="Leave what it was trained in, to train it further under its name.")
    ] = False,
) -> None:
    """Delete a voice of yours, what it was trained in, and every kept result that holds it."""
    from models.conversion.voices.install import own_folders, remove_voice
    from tasks.cache.voice_results import forget, kept

    if not own_folders(name) and not kept(name):
        raise BadInput(f"There is no voice named {name!r} of your own to remove, nor a kept result that holds it.")
    forgotten = forget(name)  # first: they hold the voice, whatever has become of its folder
    if own_folders(name):
        remove_voice(name, keep_training)
    console.print(f"{name} is gone, and {forgotten} kept results with it.", highlight=False)


def revoke(name: Name) -> None:
    """Let a voice sing no more, also a shipped one, and delete every kept result that holds it.

    Only a new record of consent undoes it: `remix voices add NAME FOLDER`, after `remove` where the voice is yours. For
    a shipped one FOLDER is the one that `remix voices show NAME` prints.
    """
    from models.conversion.voices import revocation
    from models.conversion.voices.registry import broken_voices, find_voice
    from tasks.cache.voice_results import forget, kept

    if name not in broken_voices() and not kept(name):
        find_voice(name)
    if Path(name).name != name or name.startswith("."):
        raise BadInput(f"{name!r} is no name of a voice.")
    revocation.revoke(name)
    console.print(f"{name} sings no more, and {forget(name)} kept results are gone.", highlight=False)
