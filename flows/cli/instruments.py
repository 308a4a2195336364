"""`--instrument` and `--soundfont`: what plays, as options of the rendering stage."""

import json
from pathlib import Path
from typing import Annotated

import typer

from models.core.errors import BadInput

Instruments = Annotated[
    list[str] | None,
    typer.Option(
        "--instrument",
        help="part=name, such as other=electric_piano, as often as needed: a General MIDI name, or auto. "
        "Parts are bass, melody, drums, other (all the rest) or a part's own name, such as piano.",
    ),
]
Soundfont = Annotated[Path | None, typer.Option(help="A .sf2 or .sf3 file instead of the built-in one.")]


def playing(instruments: list[str] | None, soundfont: Path | None) -> list[str]:
    """The same as `--set` takes it; raises `BadInput` for an instrument or a SoundFont that cannot play.

    >>> playing(["other=Electric Piano", "bass=auto"], None)
    ['render.instruments=[["other", "Electric Piano"], ["bass", "auto"]]']
    """
    from models.synthesis.soundfont import AUTO, check_soundfont, program_of

    pairs = []
    for text in instruments or []:
        part, equals, name = (piece.strip() for piece in text.partition("="))
        if not (part and equals and name):
            raise BadInput(f"--instrument wants part=name, such as other=electric_piano, not {text!r}.")
        if name != AUTO:
            program_of(part, name)
        pairs.append([part, name])
    options = [f"render.instruments={json.dumps(pairs)}"] if pairs else []
    if soundfont:
        check_soundfont(soundfont)
        options.append(f"render.soundfont={soundfont.resolve()}")
    return options
