"""`remix voices list|show|add|train|remove`: who can sing, on what ground, and taking a voice in or letting it go."""

import json
import sys
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.housekeeping import show_rows
from flows.cli.remixing import AsJson, Seed, console
from models.errors import BadInput

if TYPE_CHECKING:
    from models.so_vits_svc.voices import Consent

Name = Annotated[str, typer.Argument(help="The voice's name.")]
Who = Annotated[str, typer.Option(help="Whose voice it is.")]
GivenBy = Annotated[str, typer.Option(help="Who allowed it.")]
Ground = Annotated[str, typer.Option(help="permission, licence, public domain or no one's voice.")]
Use = Annotated[str, typer.Option(help="What it may be used for.")]
Proof = Annotated[str, typer.Option("--check", help="How the consent can be verified: a letter, a link, a licence.")]
Until = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day it holds, if any.")]

_QUESTIONS = {
    "who": "Whose voice is it?",
    "given_by": "Who allowed it to be used?",
    "ground": "On what ground (permission, licence, public domain, no one's voice)?",
    "use": "For what use?",
    "check": "How can that be verified (a letter, a link, a licence)?",
}

IN_TUNE = 0.92
"""The share within 50 cents from which on a voice is thought in tune."""


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
    check: Proof = "",
    until: Until = None,
) -> None:
    """Take in a voice trained elsewhere, with its record of consent; without one it is refused."""
    from models.so_vits_svc.installing import add_voice, check_name

    check_name(name)
    answers = {"who": who, "given_by": given_by, "ground": ground, "use": use, "check": check}
    print(add_voice(name, folder, _consent(answers, until)))


def train(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Recordings of one voice: any length, any common format.")],
    who: Who = "",
    given_by: GivenBy = "",
    ground: Ground = "",
    use: Use = "",
    check: Proof = "",
    until: Until = None,
    engine: Annotated[str, typer.Option(help="knn, made at once; or so-vits-svc, trained on from lj.")] = "knn",
    steps: Annotated[int, typer.Option(min=1, help="Steps of training; it stops early when it gets no better.")] = 600,
    denoise: Annotated[bool, typer.Option("--denoise", help="Take steady noise out of the recordings first.")] = False,
    seed: Seed = 0,
) -> None:
    """Make a voice of recordings; training that was stopped at any time goes on by the same command."""
    from flows.cli.server import server

    answers = {"who": who, "given_by": given_by, "ground": ground, "use": use, "check": check}
    with server() as ready:
        from models.registry import home
        from models.so_vits_svc.installing import add_voice, check_name
        from models.so_vits_svc.voices import card

        check_name(name)
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder of recordings.")
        record = _consent(answers, until)
        with console.status("Starting"):
            from flows.cli.live import shown
            from flows.train_user_voice import user_voice
            from flows.train_voice import sifted

            ready()
        work = home() / "training" / name
        with shown(console):
            made = user_voice(name, folder, work, engine, steps, denoise, seed)
    console.print(sifted(work)["account"], highlight=False)
    console.print(f"Curves, samples and measures of the training lie in {work}.", highlight=False)
    tuned = card(made).figures.get("within_50", 1.0)
    if tuned < IN_TUNE:
        console.print(f"Only {100 * tuned:.0f} % of what it sings is in tune; more --steps or --engine knn may help.")
    print(add_voice(name, made, record))


def remove(name: Name) -> None:
    """Delete a voice of yours, and every kept result that holds it."""
    from models.so_vits_svc.installing import remove_voice
    from tasks.sung import forget

    remove_voice(name)
    console.print(f"{name} is gone, and {forget(name)} kept results with it.", highlight=False)


def _consent(answers: dict[str, str], until: datetime | None) -> "Consent":
    """The record that was given as options, or by answering on a terminal; raises `BadInput` where it lacks a word."""
    from models.so_vits_svc.voices import Consent

    for key, question in _QUESTIONS.items():
        if not answers[key] and sys.stdin.isatty():
            answers[key] = typer.prompt(question, err=True)
    lacking = [f"--{key.replace('_', '-')}" for key in _QUESTIONS if not answers[key].strip()]
    if lacking:
        raise BadInput(f"A voice needs its record of consent; say also {', '.join(lacking)}.")
    return Consent(on=date.today(), until=until.date() if until else None, **answers)
