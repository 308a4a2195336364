"""What a training shows on its page in the UI: the figures and a sample of each check, and its curves."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prefect.artifacts import create_image_artifact, create_link_artifact, create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext

from tasks.runs.summary import inline


def show_check(voice: str, step: int, figures: Mapping[str, float], sample: Path) -> None:
    """A check of a voice in training; the same key each time, so that the page keeps their history."""
    if not _in_a_run():
        return
    with suppress(Exception):  # a server that does not answer takes nothing from the training
        rows = [{"what": name, "value": round(value, 3)} for name, value in figures.items()]
        create_table_artifact(rows, key=_key(voice, "checks"), description=f"{voice} after {step} steps")
        where = sample.absolute().as_uri()
        create_link_artifact(where, sample.name, key=_key(voice, "samples"), description=f"sung after {step} steps")


def show_curves(voice: str, picture: Path) -> None:
    """The losses and checks of a voice over the steps."""
    if not _in_a_run():
        return
    with suppress(Exception):
        create_image_artifact(inline(picture.read_bytes()), key=_key(voice, "curves"), description=f"{voice}: curves")


def _in_a_run() -> bool:
    """Whether there is a page; outside a run each artifact would start a server of its own."""
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def _key(voice: str, what: str) -> str:
    """An artifact's key: small letters, digits and dashes.

    >>> _key("Ada_2", "curves")
    'voice-ada-2-curves'
    """
    return re.sub(r"[^a-z0-9]+", "-", f"voice-{voice}-{what}".lower())
