"""The options `instrument` and `soundfont` as settings of the stage render."""

import json
from collections.abc import Sequence
from pathlib import Path

from models.core.errors import BadInput


def render_settings(instruments: Sequence[str], soundfont: str) -> list[str]:
    """`stage.setting=value` for each; raises `BadInput` for a program or a SoundFont that cannot play.

    >>> render_settings(["other=Electric Piano", "bass=auto"], "built-in")
    ['render.instruments=[["other", "Electric Piano"], ["bass", "auto"]]']
    """
    from flows.options import BUILT_IN, installed_soundfont
    from models.synthesis.soundfont import AUTO, check_soundfont, program_of

    pairs = []
    for text in instruments:
        part, equals, name = (piece.strip() for piece in text.partition("="))
        if not (part and equals and name):
            raise BadInput(f"--instrument wants part=program, such as other=electric_piano, not {text!r}.")
        if name != AUTO:
            program_of(part, name)
        pairs.append([part, name])
    assignments = [f"render.instruments={json.dumps(pairs)}"] if pairs else []
    if soundfont != BUILT_IN:
        path = Path(soundfont) if Path(soundfont).suffix in (".sf2", ".sf3") else installed_soundfont(soundfont)
        check_soundfont(path)
        assignments.append(f"render.soundfont={path.resolve()}")
    return assignments
