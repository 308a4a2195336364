"""The record of consent of a voice, given as options or by answering on a terminal."""

import sys
from datetime import date
from typing import TYPE_CHECKING

import typer
from pydantic import BaseModel, Field

from models.core.errors import BadInput

if TYPE_CHECKING:
    from models.conversion.voices.registry import Consent


class ConsentAnswers(BaseModel):
    """A voice's record of consent as far as the command line gives it."""

    who: str = Field("", description="Whose voice it is.")
    given_by: str = Field("", description="Who allowed it.")
    ground: str = Field("", description="permission, licence, public domain or no one's voice.")
    use: str = Field("", description="What it may be used for.")
    check: str = Field("", description="How the consent can be verified: a letter, a link, a licence.")
    until: date | None = Field(None, description="The last day it holds, as 2027-12-31, if any.")


_QUESTIONS = {
    "who": "Whose voice is it?",
    "given_by": "Who allowed it to be used?",
    "ground": "On what ground (permission, licence, public domain, no one's voice)?",
    "use": "For what use?",
    "check": "How can that be verified (a letter, a link, a licence)?",
}


def consent_of(given: ConsentAnswers) -> "Consent":
    """The record that was given as options, or by answering on a terminal.

    Raises `BadInput` where it lacks a word, stands on no known ground or has ended.
    """
    from models.conversion.voices.registry import Consent, check_record

    answers = {key: str(getattr(given, key)) for key in _QUESTIONS}
    for key, question in _QUESTIONS.items():
        if not answers[key] and sys.stdin.isatty():
            answers[key] = typer.prompt(question, err=True)
    lacking = [f"--{key.replace('_', '-')}" for key in _QUESTIONS if not answers[key].strip()]
    if lacking:
        raise BadInput(f"A voice needs its record of consent; say also {', '.join(lacking)}.")
    record = Consent(on=date.today(), until=given.until, **answers)
    check_record(record)
    return record
