"""Each stage alone: `remix separate|transcribe|extend|convert|render|mix`, on files."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.run import AsJson, console
from flows.cli.sampling import SamplingOptions
from flows.command_options import options_of
from flows.options import OUTRO_BARS, RemixOptions
from flows.parameters import spread_names
from models.core.errors import BadInput

Song = Annotated[Path, typer.Argument(help="An audio file.")]
Midi = Annotated[Path, typer.Argument(help="A MIDI file.")]
OutFile = Annotated[Path | None, typer.Option("--out", help="The file to write; by default it lies beside the input.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (separate, transcribe, extend, convert, render, mix):
        app.command()(command)
    app.command(hidden=True, context_settings={"ignore_unknown_options": True})(revoice)


@options_of(RemixOptions, "separator", "splitter", "seed", "device", "settings")
def separate(
    song: Song,
    options: RemixOptions,
    out: Annotated[Path, typer.Option(help="The folder to write the stems to.")] = Path("stems"),
    as_json: AsJson = False,
) -> None:
    """Separate a song into FLAC files: drums, bass, other, vocals, lead and backing vocals."""
    _tell(_shown("separate_file", song, out, options), as_json)


@options_of(RemixOptions, "separator", "splitter", "seed", "device", "settings")
def transcribe(song: Song, options: RemixOptions, out: OutFile = None, as_json: AsJson = False) -> None:
    """Transcribe a song to MIDI: bass, harmony, drums and the sung melody, on the song's own beats."""
    _tell(_shown("transcribe_file", song, out or song.with_suffix(".mid"), options), as_json)


@options_of(RemixOptions, "transformer", "seed", "device", "settings")
@options_of(SamplingOptions)
def extend(
    midi: Midi,
    options: RemixOptions,
    sampling: SamplingOptions,
    out: OutFile = None,
    bars: Annotated[int, typer.Option(min=1, max=OUTRO_BARS[1], help="How many bars to continue for.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Continue a MIDI file with the Music Transformer; the old and the new notes are written together."""
    target = out or midi.with_stem(f"{midi.stem} extended")
    chosen = options.model_copy(update={"settings": [*sampling.settings("extend"), *options.settings]})
    _tell(_shown("extend_midi", midi, target, chosen, bars=bars), as_json)


@options_of(RemixOptions, "voice", "seed", "device", "settings")
def convert(vocals: Song, options: RemixOptions, out: OutFile = None, as_json: AsJson = False) -> None:
    """Convert a vocal recording to another voice."""
    target = out or vocals.with_name(f"{vocals.stem} ({options.voice}).wav")
    _tell(_shown("convert_file", vocals, target, options), as_json)


def revoice(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """The name of `remix convert` in earlier versions."""
    raise BadInput("`remix revoice` is called `remix convert` now.")


@options_of(RemixOptions, "instrument", "soundfont", "settings")
def render(midi: Midi, options: RemixOptions, out: OutFile = None, as_json: AsJson = False) -> None:
    """Render a MIDI file on the instruments of a SoundFont."""
    _tell(_shown("render_midi", midi, out or midi.with_suffix(".wav"), options), as_json)


@options_of(RemixOptions, "settings")
def mix(
    voice: Annotated[Path, typer.Argument(help="The voice.")],
    backing: Annotated[Path, typer.Argument(help="What plays under it.")],
    options: RemixOptions,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("mix.wav"),
    as_json: AsJson = False,
) -> None:
    """Mix a voice and its backing at the loudness target."""
    made = _shown("mix_files", voice, backing, out, options)
    console.print(f"{made.loudness_lufs:.1f} LUFS, true peak {made.true_peak_dbtp:.1f} dBTP", highlight=False)
    _tell(out, as_json)


def _shown(flow: str, *paths_and_options: Any, **more: Any) -> Any:
    """Run a flow of `flows.single_stages` with its progress on the terminal."""
    from flows.cli.server import server

    *paths, options = paths_and_options
    with server() as ready:
        with console.status("Starting"):
            from flows import single_stages
            from flows.cli.live import shown

            chosen = getattr(single_stages, flow)
            options.stage_settings()
            given = {name: getattr(options, name) for name in spread_names(chosen.fn)}
            ready()
        with shown(console):
            return chosen(*paths, **given, **more)


def _tell(written: Path | tuple[Path, ...], as_json: bool) -> None:
    paths = [str(path) for path in (written if isinstance(written, tuple) else (written,))]
    print(json.dumps(paths) if as_json else "\n".join(paths))
