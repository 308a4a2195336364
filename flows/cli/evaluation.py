"""`remix eval`: how good the parts are, measured beside baselines; one command a part."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.run import AsJson, Device, On, Options, Seed, console
from models.conversion import DEFAULT_VOICE


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(
        help="Measure the parts beside baselines; JSON on stdout (separation and voice: with --json).",
        no_args_is_help=True,
    )
    for command in (continuation, transcription, grid, pipeline, separation, voice):
        group.command(command.__name__)(command)
    app.add_typer(group, name="eval")


def continuation(
    midi: Annotated[
        Path | None, typer.Option(help="A folder of MIDI files, or one holding the collections trained on.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Of the collections trained on only this one; may be given again.")
    ] = None,
    transformer: Annotated[str, typer.Option(help="The weights' name.")] = "small",
    songs: Annotated[int, typer.Option(min=2, help="At most so many, evenly spread.")] = 40,
    noisy: Annotated[int, typer.Option(min=0, help="Songs to play, mix, take apart and transcribe as well.")] = 0,
    seed: Seed = 0,
    options: Options = None,
) -> None:
    """How well the Music Transformer plays on and accompanies: beside the real song, Markov, repeating, another song.

    Without --midi it judges by versions of the project's own example song.
    """
    from flows.evaluation.continuation import evaluate_continuation
    from flows.options import StageSettings, with_options
    from models.core.progress import Watch

    settings = with_options(StageSettings(), options or []).extend
    with console.status("Evaluating") as status:
        watch = Watch(lambda done: status.update(f"Evaluating {100 * done:.0f} %"))
        found = evaluate_continuation(
            midi, source or (), transformer, songs, noisy, settings=settings, seed=seed, watch=watch
        )
    print(json.dumps(found, indent=1))


Midi = Annotated[
    Path | None,
    typer.Option(help="A folder that holds POP909 and Groove as MIDI; without it the project's own example songs."),
]
Songs = Annotated[int, typer.Option(min=1, help="How many songs are rendered.")]
Seconds = Annotated[float, typer.Option(min=10, help="At most so many seconds of each song.")]
Part = Annotated[str, typer.Option(help="Which of the songs: test, to report; or dev, to tune on.")]
Separator = Annotated[str, typer.Option(help="The network that takes the songs apart.")]


def transcription(
    midi: Midi = None,
    songs: Songs = 12,
    seconds: Seconds = 75.0,
    part: Part = "test",
    separator: Separator = "band-mask",
    sung: Annotated[
        Path | None, typer.Option(help="A folder of sung clips in vocadito's layout, to be judged as well.")
    ] = None,
    options: Options = None,
) -> None:
    """How well notes and drums are written down, on true and on separated stems, beside Basic Pitch's defaults."""
    from flows.evaluation.transcription import evaluate_transcription
    from flows.options import StageSettings, with_options

    settings = with_options(StageSettings(), options or [])
    with console.status("Rendering, taking apart and writing down"):
        found = evaluate_transcription(
            midi, part, songs, seconds, separator, settings.transcribe, settings.follow_pitch, sung
        )
    print(json.dumps(found, indent=1))


def grid(
    midi: Midi = None,
    songs: Songs = 12,
    seconds: Seconds = 75.0,
    part: Part = "test",
    separator: Separator = "band-mask",
    options: Options = None,
) -> None:
    """How well beats, bars, key and chords are heard, beside librosa's plain answer."""
    from flows.evaluation.grid import evaluate_grid
    from flows.options import StageSettings, with_options

    settings = with_options(StageSettings(), options or []).listen
    with console.status("Rendering, taking apart and listening"):
        found = evaluate_grid(midi, part, songs, seconds, separator, settings)
    print(json.dumps(found, indent=1))


def pipeline(
    songs: Annotated[list[Path] | None, typer.Argument(help="Audio files to remix; by default songs are made.")] = None,
    midi: Midi = None,
    count: Annotated[int, typer.Option("--songs", min=1, help="How many songs are made where none is given.")] = 1,
    seconds: Seconds = 75.0,
    out: Annotated[Path, typer.Option(help="The folder that gets a folder for each song.")] = Path("remixes"),
    voice: Annotated[str, typer.Option(help="Who sings.")] = DEFAULT_VOICE,
    separator: Separator = "band-mask",
    seed: Seed = 0,
    device: On = Device.auto,
    options: Options = None,
) -> None:
    """How good whole remixes are: every figure of their reports, and loudness by meters that are not ours."""
    from flows.cli.server import server

    with server() as ready:
        with console.status("Starting"):
            from flows.cli.live import shown
            from flows.evaluation.pipeline import evaluate_pipeline
            from flows.options import StageSettings, with_options

            settings = with_options(StageSettings(), options or [])
            ready()
        with shown(console):
            found = evaluate_pipeline(
                songs or (), midi, count, seconds, out, voice, seed, device.value, separator, settings
            )
    print(json.dumps(found, indent=1))


def separation(
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
    device: On = Device.auto,
    as_json: AsJson = False,
) -> None:
    """How well separators take songs apart: SDR, SI-SDR and BSS Eval v4 beside an even share and the ideal ratio mask.

    Without folders it judges by the project's own example song and variations of it, whose voices are synthetic.
    """
    from flows.devices import resolved
    from flows.evaluation.separation import folder_songs, own_songs, present, rows, source_table, table, trials

    found = []
    with console.status("Evaluating") as status:
        known = folder_songs(songs) if songs else own_songs(own)
        for trial in trials(known, separator or present(), bss_eval, resolved(device.value)):
            status.update(f"{trial.song}: {trial.separator}")
            found.append(trial)
    if as_json:
        print(json.dumps(rows(found), indent=1))
    else:
        print(f"SDR in dB (gain over the better of silence and an even share)\n\n{table(found)}")
        print(f"\nMeans in dB\n\n{source_table(found)}")


def voice(
    name: Annotated[str, typer.Option("--voice", help="The voice to judge.")] = "lj",
    clips: Annotated[
        Path | None, typer.Option(help="A folder of singing or speech alone; without it the project's own songs.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=4, help="At most so many seconds of each clip.")] = 14.0,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """How well a voice sings: pitch, voicing, likeness, naturalness, words and speed, beside source, world and knn."""
    from flows.evaluation.voice import evaluate_voice
    from flows.options import StageSettings, with_options
    from models.core.progress import Watch

    settings = with_options(StageSettings(), options or []).revoice
    with console.status("Evaluating") as status:
        watch = Watch(lambda done: status.update(f"Evaluating {100 * done:.0f} %"))
        found = evaluate_voice(name, clips, seconds, settings=settings, watch=watch)
    if as_json:
        print(json.dumps(_plain(found), indent=1, allow_nan=False))
        return
    measures = list(found["means"][name])
    table = Table("mean [95 %]", *found["means"], box=None, pad_edge=False)
    for measure in measures:
        shown = [found["means"][row][measure] for row in found["means"]]
        table.add_row(measure, *(f"{mean:.2f} [{low:.2f}, {high:.2f}]" for mean, low, high in shown))
    Console().print(table)


def _plain(found: Any) -> Any:
    """What was found with null for figures that there are none of, since JSON knows no NaN."""
    if isinstance(found, dict):
        return {name: _plain(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_plain(value) for value in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found
