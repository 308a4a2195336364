"""`remix run` and `remix demo`."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.instruments import Instruments, Soundfont, playing
from flows.deployments.parameters import spread
from models.conversion import DEFAULT_VOICE
from models.core.errors import BadInput
from models.core.validation import MAX_SEED

if TYPE_CHECKING:
    from tasks.runs.publish import Remix

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
Seed = Annotated[
    int, typer.Option(min=0, max=MAX_SEED, help="Where every random choice starts; equal seeds give equal mixes.")
]
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
Splitter = Annotated[str, typer.Option(help="The network that takes lead and backing vocals apart, or `none`.")]
Transformer = Annotated[str, typer.Option(help="The Music Transformer that plays.")]
Options = Annotated[
    list[str] | None, typer.Option("--set", help="stage.option=value, as often as needed; `remix settings` names them.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(run)
    app.command()(demo)


@dataclass(frozen=True)
class Chosen:
    """The choices for remixes on this machine: `flows.remix.remix`'s, and stage options with a name of their own."""

    voice: Voice = DEFAULT_VOICE
    out: Out = Path("remixes")
    seed: Seed = 0
    device: On = Device.auto
    backing: Under = Backing.generated
    outro_bars: Outro = 8
    separator: Separator = "band-mask"
    splitter: Splitter = "lead-backing"
    transformer: Transformer = "small"
    instrument: Instruments = None
    soundfont: Soundfont = None
    backing_voice: Behind = "none"
    key_shift: Key = None
    transpose_backing: Along = False
    options: Options = None

    def stage_options(self) -> list[str]:
        """Every option as "stage.option=value"; raises `BadInput` for an instrument or SoundFont that cannot play."""
        moved = [] if self.key_shift is None else [f"revoice.key_shift={self.key_shift}"]
        return [*playing(self.instrument, self.soundfont), *moved, *(self.options or [])]


@spread
def run(
    songs: Annotated[list[Path], typer.Argument(help="Audio files: wav, flac, mp3, ogg, opus, m4a, aiff.")],
    chosen: Chosen,
    as_json: AsJson = False,
) -> None:
    """Remix songs. Each gets a folder with the mix, stems, MIDI, a report and a manifest; a bad one stops no other."""
    _remix_all(songs, chosen, as_json)


@spread
def demo(chosen: Chosen, as_json: AsJson = False) -> None:
    """Remix the project's own example song, which this command first writes and synthesises."""
    _remix_all([_example()], chosen, as_json)


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


def _remix_all(songs: list[Path], chosen: Chosen, as_json: bool) -> None:
    from flows.cli.server import server

    done, refused = [], []
    with server() as ready:
        options = chosen.stage_options()
        for song in songs:
            try:
                done.append(_remixed(song, chosen, options, ready, as_json))
            except BadInput as error:
                refused.append(str(error))
    if as_json:
        print(json.dumps({"remixes": [asdict(made) for made in done], "refused": refused}, default=str))
    if refused:
        raise BadInput("\n".join(refused))


def _remixed(song: Path, chosen: Chosen, options: list[str], ready: Callable[[], None], quiet: bool) -> "Remix":
    with console.status("Starting"):
        from flows.cli.live import shown
        from flows.options import Choices, StageSettings, with_options
        from flows.remix import check, remix
        from tasks.cache.caching import read_code

        named = {f.name: getattr(chosen, f.name) for f in fields(Choices) if f.name != "settings"}
        plain: dict[str, Any] = {name: getattr(value, "value", value) for name, value in named.items()}
        choices = Choices(settings=with_options(StageSettings(), options), **plain)
        check(song, chosen.out, choices)
        read_code()  # while the server starts, as all up to here
        for engine in ("prefect.flow_engine", "prefect.task_engine"):
            import_module(engine)  # what a run would wait for first
        ready()
    with shown(console):
        made: Remix = remix(song=song, out=chosen.out, **vars(choices))
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
