"""How the Music Transformer plays, as options of the stages that ask it to."""

import json
from typing import Annotated, Any

import typer

Tracks = Annotated[
    list[str] | None,
    typer.Option("--track", help="Write only this: drums, bass, piano, guitar, strings or melody; as often as needed."),
]
Density = Annotated[float | None, typer.Option(help="Fewer notes below 1, more above it: 0.25 to 4.")]
Follow = Annotated[float | None, typer.Option(help="How strongly to take up what was played before: 0 to 1.")]
Temperature = Annotated[float | None, typer.Option(help="Likelier notes below 1, stranger ones above: 0.1 to 2.")]
TopP = Annotated[float | None, typer.Option(help="Draw only from the likeliest, up to this probability: 0.05 to 1.")]


def writing(stage: str, tracks: list[str] | None, **choices: float | None) -> list[str]:
    """The same as `--set` takes it, of what was chosen.

    >>> writing("extend", ["bass", "drums"], density=0.5, follow=None)
    ['extend.density=0.5', 'extend.tracks=["bass", "drums"]']
    """
    chosen: dict[str, Any] = choices | {"tracks": tracks}
    return [f"{stage}.{name}={json.dumps(value)}" for name, value in chosen.items() if value not in (None, [])]
