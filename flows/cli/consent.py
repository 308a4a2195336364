"""The record of consent of a voice, given as options or by answering on a terminal."""

import sys
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from models.core.errors import BadInput

if TYPE_CHECKING:
    from models.conversion.voices.registry import Consent

Who = Annotated[str, typer.Option(help="Whose voice it is.")]
GivenBy = Annotated[str, typer.Option(help="Who allowed it.")]
Ground = Annotated[str, typer.Option(help="permission, licence, public domain or no one's voice.")]
Use = Annotated[str, typer.Option(help="What it may be used for.")]
Check = Annotated[str, typer.Option("--check", help="How the consent can be verified: a letter, a link, a licence.")]
Until = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day it holds, if any.")]

_QUESTIONS = {
    "who": "Whose voice is it?",
    "given_by": "Who allowed it to be used?",
    "ground": "On what ground (permission, licence, public domain, no one's voice)?",
    "use": "For what use?",
    "check": "How can that be verified (a letter, a link, a licence)?",
}


def consent_of(answers: dict[str, str], until: datetime | None) -> "Consent":
    """The record that was given as options, or by answering on a terminal.

    Raises `BadInput` where it lacks a word, stands on no known ground or has ended.
    """
    from models.conversion.voices.registry import Consent, check_record

    for key, question in _QUESTIONS.items():
        if not answers[key] and sys.stdin.isatty():
            answers[key] = typer.prompt(question, err=True)
    lacking = [f"--{key.replace('_', '-')}" for key in _QUESTIONS if not answers[key].strip()]
    if lacking:
        raise BadInput(f"A voice needs its record of consent; say also {', '.join(lacking)}.")
    record = Consent(on=date.today(), until=until.date() if until else None, **answers)
    check_record(record)
    return record
