"""`remix eval`: each part evaluated beside baselines; one command a part."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, Field
from rich.console import Console
from rich.table import Table

from flows.cli.run import AsJson, console
from flows.command_options import options_of
from flows.options import RemixOptions

Midi = Annotated[
    Path | None,
    typer.Option(help="A folder of MIDI files, or one holding the collections trained on; without it our own songs."),
]


class Material(BaseModel):
    """The songs that are rendered to evaluate on."""

    midi: Path | None = Field(
        None, description="A folder that holds POP909 and Groove as MIDI; without it the project's own example songs."
    )
    songs: int = Field(12, ge=1, description="How many songs are rendered.")
    seconds: float = Field(
        75.0, ge=10, description="At most so much of each song.", json_schema_extra={"unit": "seconds"}
    )
    part: str = Field("test", description="Which of the songs: test, to report; or dev, to tune on.")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(help="Evaluate the parts beside baselines: a table, or JSON with --json.", no_args_is_help=True)
    for command in (continuation, transcription, grid, pipeline, separation, voice):
        group.command(command.__name__)(command)
    app.add_typer(group, name="eval")


@options_of(RemixOptions, "transformer", "seed", "settings")
def continuation(
    options: RemixOptions,
    midi: Midi = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Of the collections trained on only this one; may be given again.")
    ] = None,
    songs: Annotated[int, typer.Option(min=2, help="At most so many, evenly spread.")] = 40,
    noisy: Annotated[int, typer.Option(min=0, help="Songs to render, mix, separate and transcribe as well.")] = 0,
    as_json: AsJson = False,
) -> None:
    """The Music Transformer's continuations and accompaniments beside the real song, Markov, repeating, another song.

    Without --midi the songs are versions of the project's own example song.
    """
    from flows.evaluation.continuation import evaluate_continuation
    from models.core.progress import Watch

    settings = options.stage_settings().extend
    with console.status("Evaluating") as status:
        watch = Watch(lambda done: status.update(f"Evaluating {100 * done:.0f} %"))
        figures = evaluate_continuation(
            midi, source or (), options.transformer, songs, noisy, settings=settings, seed=options.seed, watch=watch
        )
    _print(figures, as_json)


@options_of(Material)
@options_of(RemixOptions, "separator", "settings")
def transcription(
    material: Material,
    options: RemixOptions,
    sung: Annotated[
        Path | None, typer.Option(help="A folder of sung clips in vocadito's layout, to be evaluated as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Transcribed notes and drums, on true and on separated stems, beside Basic Pitch's defaults."""
    from flows.evaluation.transcription import evaluate_transcription

    stages = options.stage_settings()
    with console.status("Rendering, separating and transcribing"):
        figures = evaluate_transcription(
            material.midi, material.part, material.songs, material.seconds, options.separator,
            stages.transcribe, stages.track_f0, sung,
        )  # fmt: skip
    _print(figures, as_json)


@options_of(Material)
@options_of(RemixOptions, "separator", "settings")
def grid(material: Material, options: RemixOptions, as_json: AsJson = False) -> None:
    """Beats, downbeats, key and chords beside librosa's defaults."""
    from flows.evaluation.grid import evaluate_grid

    settings = options.stage_settings().analyse
    with console.status("Rendering, separating and analysing"):
        figures = evaluate_grid(
            material.midi, material.part, material.songs, material.seconds, options.separator, settings
        )
    _print(figures, as_json)


@options_of(Material, "midi", "seconds")
@options_of(RemixOptions, "voice", "separator", "seed", "device", "settings")
def pipeline(
    material: Material,
    options: RemixOptions,
    songs: Annotated[list[Path] | None, typer.Argument(help="Audio files to remix; by default songs are made.")] = None,
    count: Annotated[int, typer.Option("--songs", min=1, help="How many songs are made where none is given.")] = 1,
    out: Annotated[Path, typer.Option(help="The folder that gets a folder for each song.")] = Path("remixes"),
    as_json: AsJson = False,
) -> None:
    """Whole remixes: every metric of their reports, and loudness by meters that are not ours."""
    from flows.cli.server import server

    with server() as ready:
        with console.status("Starting"):
            from flows.cli.live import shown
            from flows.evaluation.pipeline import evaluate_pipeline, made_songs

            options.stage_settings()
            ready()
        with shown(console):
            paths = songs or made_songs(material.midi, count, material.seconds, out)
            figures = evaluate_pipeline(paths, out, options)
    _print(figures, as_json)


@options_of(RemixOptions, "device")
def separation(
    options: RemixOptions,
    songs: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders with a song's true stems in MUSDB's layout, or folders of such."),
    ] = None,
    separator: Annotated[
        list[str] | None,
        typer.Option(help="A name or a checkpoint file; may be given again. Default: all that are here."),
    ] = None,
    own: Annotated[int, typer.Option(min=1, help="Without folders: so many songs of our own.")] = 4,
    bss_eval: Annotated[bool, typer.Option(help="BSS Eval v4 as well; a minute for each minute of music.")] = True,
    as_json: AsJson = False,
) -> None:
    """Separators: SDR, SI-SDR and BSS Eval v4 beside an even share and the ideal ratio mask.

    Without folders the songs are the project's own example song and variations of it, whose voices are synthetic.
    """
    from flows.devices import resolved
    from flows.evaluation.separation import folder_songs, own_songs, present, rows, source_table, table, trials

    done = []
    with console.status("Evaluating") as status:
        known = folder_songs(songs) if songs else own_songs(own)
        for trial in trials(known, separator or present(), bss_eval, resolved(options.device)):
            status.update(f"{trial.song}: {trial.separator}")
            done.append(trial)
    if as_json:
        print(json.dumps(rows(done), indent=1))
    else:
        print(f"SDR in dB (gain over the better of silence and an even share)\n\n{table(done)}")
        print(f"\nMeans in dB\n\n{source_table(done)}")


@options_of(RemixOptions, "voice", "settings")
def voice(
    options: RemixOptions,
    clips: Annotated[
        Path | None, typer.Option(help="A folder of singing or speech alone; without it the project's own songs.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=4, help="At most so many seconds of each clip.")] = 14.0,
    as_json: AsJson = False,
) -> None:
    """A voice's f0 error, voicing, likeness, naturalness, phones and speed beside the source, world and knn."""
    from flows.evaluation.voice import evaluate_voice
    from models.core.progress import Watch

    settings = options.stage_settings().convert
    with console.status("Evaluating") as status:
        watch = Watch(lambda done: status.update(f"Evaluating {100 * done:.0f} %"))
        figures = evaluate_voice(options.voice, clips, seconds, settings=settings, watch=watch)
    _print(figures, as_json)


def _print(figures: dict[str, Any], as_json: bool) -> None:
    """The figures as tables for people, or as JSON."""
    from flows.evaluation.tables import plain, tables

    if as_json:
        print(json.dumps(plain(figures), indent=1, allow_nan=False))
        return
    terminal = Console()
    for one in tables(figures):
        shown = Table("", *one.columns, title=one.title or None, title_justify="left", box=None, pad_edge=False)
        for row in one.rows:
            shown.add_row(*row)
        terminal.print(shown)
