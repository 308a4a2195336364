"""`remix run` and `remix demo`."""

import json
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.playing import Instruments, Soundfont, playing
from models.errors import BadInput
from models.so_vits_svc import DEFAULT_VOICE

if TYPE_CHECKING:
    from tasks.publish import Remix

console = Console(stderr=True)


class Backing(StrEnum):
    """What plays under the voice."""

    generated = "generated"
    transcribed = "transcribed"
    original = "original"


class Device(StrEnum):
    """Where networks compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Voice = Annotated[str, typer.Option(help="Who sings; `remix voices list` names them, `none` keeps the singer.")]
Out = Annotated[Path, typer.Option(help="The folder that gets a folder for each song.")]
Seed = Annotated[int, typer.Option(min=0, help="Where every random choice starts; equal seeds give equal mixes.")]
On = Annotated[Device, typer.Option("--device", help="Where networks compute.")]
Behind = Annotated[
    str, typer.Option("--backing-voice", help="Who sings behind the lead: a voice, `same` as the lead, or `none`.")
]
Key = Annotated[
    int | None, typer.Option("--key-shift", help="Semitones that the lead moves by; else what suits the voice.")
]
Along = Annotated[
    bool, typer.Option("--transpose-backing", help="Move the band and backing singers into the lead's new key.")
]
Under = Annotated[Backing, typer.Option("--backing", help="What plays under the voice.")]
Outro = Annotated[int, typer.Option(min=0, max=64, help="Bars that the transformer plays on after the song.")]
Separator = Annotated[str, typer.Option(help="The network that takes songs apart, or a Demucs checkpoint file.")]
Options = Annotated[list[str] | None, typer.Option("--set", help="stage.option=value, as often as needed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(run)
    app.command()(demo)


def run(
    songs: Annotated[list[Path], typer.Argument(help="Audio files: wav, flac, mp3, ogg, opus, m4a, aiff.")],
    voice: Voice = DEFAULT_VOICE,
    out: Out = Path("remixes"),
    seed: Seed = 0,
    device: On = Device.auto,
    backing: Under = Backing.generated,
    outro_bars: Outro = 8,
    separator: Separator = "band-mask",
    instrument: Instruments = None,
    soundfont: Soundfont = None,
    backing_voice: Behind = "none",
    key_shift: Key = None,
    transpose_backing: Along = False,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Remix songs. Each gets a folder with the mix, stems, MIDI, a report and a manifest; a bad one stops no other."""
    choices = {
        "voice": voice,
        "out": out,
        "seed": seed,
        "device": device.value,
        "backing": backing.value,
        "outro_bars": outro_bars,
        "separator": separator,
        "backing_voice": backing_voice,
        "transpose_backing": transpose_backing,
    }
    from flows.cli.server import server

    moved = [] if key_shift is None else [f"revoice.key_shift={key_shift}"]
    done, refused = [], []
    with server() as ready:
        options = [*playing(instrument, soundfont), *moved, *(options or [])]
        for song in songs:
            try:
                done.append(_remixed(song, choices, options, ready, as_json))
            except BadInput as error:
                refused.append(str(error))
    if as_json:
        print(json.dumps({"remixes": [asdict(made) for made in done], "refused": refused}, default=str))
    if refused:
        raise BadInput("\n".join(refused))


def demo(
    voice: Voice = DEFAULT_VOICE,
    out: Out = Path("remixes"),
    seed: Seed = 0,
    device: On = Device.auto,
    backing: Under = Backing.generated,
    outro_bars: Outro = 8,
    instrument: Instruments = None,
    soundfont: Soundfont = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Remix the project's own example song, which this command first writes and synthesises."""
    from models.encoding import write_wav
    from models.example_song import example_song

    song = out / "example song.wav"
    if not song.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_wav(example_song(seed=0).mix, song)
    more: dict[str, Any] = {"instrument": instrument, "soundfont": soundfont, "options": options, "as_json": as_json}
    run([song], voice, out, seed, device, backing, outro_bars, **more)


def _remixed(
    song: Path, choices: dict[str, Any], options: list[str], ready: Callable[[], None], quiet: bool
) -> "Remix":
    with console.status("Starting"):
        from flows.cli.live import shown
        from flows.remix import check, remix
        from flows.settings import StageSettings, with_options
        from tasks.caching import read_code

        settings = with_options(StageSettings(), options)
        named = ("voice", "out", "outro_bars", "separator", "backing_voice")
        check(song, *(choices[name] for name in named))
        read_code()  # while the server starts, as all up to here
        for engine in ("prefect.flow_engine", "prefect.task_engine"):
            import_module(engine)  # what a run would wait for first
        ready()
    with shown(console):
        made: Remix = remix(song=song, settings=settings, **choices)
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
