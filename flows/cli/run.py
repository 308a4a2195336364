"""`remix run` and `remix demo`."""

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.command_options import options_of
from flows.options import RemixOptions
from models.core.errors import BadInput

if TYPE_CHECKING:
    from tasks.runs.publish import Remix

console = Console(stderr=True)

Out = Annotated[Path, typer.Option(help="The folder that gets a folder for each song.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(run)
    app.command()(demo)


@options_of(RemixOptions)
def run(
    songs: Annotated[list[Path], typer.Argument(help="Audio files: wav, flac, mp3, ogg, opus, m4a, aiff.")],
    options: RemixOptions,
    out: Out = Path("remixes"),
    as_json: AsJson = False,
) -> None:
    """Remix songs. Each gets a folder with the mix, stems, MIDI, a report and a manifest; a bad one stops no other."""
    _remix_all(songs, options, out, as_json)


@options_of(RemixOptions)
def demo(options: RemixOptions, out: Out = Path("remixes"), as_json: AsJson = False) -> None:
    """Remix the project's own example song, which this command first writes and synthesises."""
    _remix_all([_example()], options, out, as_json)


def _example() -> Path:
    """The example song as a file, synthesised anew when the code that plays it has changed."""
    from models.core.registry import home
    from tasks.cache.fingerprint import code_digest

    song = home() / "example" / code_digest("models.synthesis.example_song")[:16] / "example song.wav"
    if not song.exists():
        from models.audio.encode import write_wav
        from models.synthesis.example_song import example_song

        song.parent.mkdir(parents=True, exist_ok=True)
        write_wav(example_song(seed=0).mix, song)
    return song


def _remix_all(songs: list[Path], options: RemixOptions, out: Path, as_json: bool) -> None:
    from flows.cli.server import server

    done, refused = [], []
    with server() as ready:
        options.stage_settings()
        for song in songs:
            try:
                done.append(_remixed(song, options, out, ready, as_json))
            except BadInput as error:
                refused.append(str(error))
    if as_json:
        print(json.dumps({"remixes": [asdict(made) for made in done], "refused": refused}, default=str))
    if refused:
        raise BadInput("\n".join(refused))


def _remixed(song: Path, options: RemixOptions, out: Path, ready: Callable[[], None], quiet: bool) -> "Remix":
    with console.status("Starting"):
        from flows.cli.live import shown
        from flows.remix import check, remix
        from tasks.cache.caching import read_code

        check(song, out, options)
        read_code()  # while the server starts, as all up to here
        for engine in ("prefect.flow_engine", "prefect.task_engine"):
            import_module(engine)  # what a run would wait for first
        ready()
    with shown(console):
        made: Remix = remix(song=song, out=out, **options.model_dump())
    if not quiet:
        _tell(made)
    return made


def _tell(made: "Remix") -> None:
    table = Table("stage", "seconds", "", box=None, pad_edge=False)
    for stage in made.stages:
        table.add_row(stage.name, f"{stage.seconds:.1f}", "reused" if stage.reused else "")
    console.print(table)
    saved = sum(stage.seconds for stage in made.stages if stage.reused)
    if saved:
        console.print(f"{saved:.0f} s of work reused.", highlight=False)
    for note in made.notes:
        console.print(note, highlight=False)
    console.print(f"{made.loudness_lufs:.1f} LUFS, true peak {made.true_peak_dbtp:.1f} dBTP", highlight=False)
    print(made.folder)
    for name in ("mix.wav", "mix.mp3", "report.html"):
        print(made.folder / name)
