"""Each stage alone: `remix separate|transcribe|extend|revoice|render|mix`, on files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.instruments import Instruments, Soundfont, playing
from flows.cli.run import AsJson, Device, On, Options, Seed, Separator, Splitter, Transformer, Voice, console
from flows.cli.sampling import Density, Follow, Temperature, TopP, Tracks, writing
from flows.deployments.parameters import spread
from models.conversion import DEFAULT_VOICE

Song = Annotated[Path, typer.Argument(help="An audio file.")]
Midi = Annotated[Path, typer.Argument(help="A MIDI file.")]
OutFile = Annotated[Path | None, typer.Option("--out", help="The file to write; by default it lies beside the input.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (separate, transcribe, extend, revoice, render, mix):
        app.command()(command)


@dataclass(frozen=True)
class Apart:
    """How a song is taken apart, by the commands that begin with it."""

    separator: Separator = "band-mask"
    splitter: Splitter = "lead-backing"
    seed: Seed = 0
    device: On = Device.auto
    options: Options = None

    def run(self, flow: str, song: Path, out: Path) -> Any:
        """What a flow of `flows.single_stages` that takes songs apart returns."""
        networks = {"separator": self.separator, "splitter": self.splitter}
        return _shown(flow, song, out, options=self.options, seed=self.seed, device=self.device.value, **networks)


@spread
def separate(
    song: Song,
    apart: Apart,
    out: Annotated[Path, typer.Option(help="The folder to write the stems to.")] = Path("stems"),
    as_json: AsJson = False,
) -> None:
    """Take a song apart into FLAC files: drums, bass, other, vocals, lead and backing vocals."""
    _tell(apart.run("separate_file", song, out), as_json)


@spread
def transcribe(song: Song, apart: Apart, out: OutFile = None, as_json: AsJson = False) -> None:
    """Write a song down as MIDI: bass, harmony, drums and the sung melody, on the song's own beats."""
    _tell(apart.run("transcribe_file", song, out or song.with_suffix(".mid")), as_json)


def extend(
    midi: Midi,
    out: OutFile = None,
    bars: Annotated[int, typer.Option(min=1, max=64, help="How many bars to play on.")] = 8,
    transformer: Transformer = "small",
    track: Tracks = None,
    density: Density = None,
    follow: Follow = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = 0,
    device: On = Device.auto,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Play a MIDI file on with the Music Transformer; the old and the new notes are written together."""
    manner = writing("extend", track, density=density, follow=follow, temperature=temperature, top_p=top_p)
    choices = {"bars": bars, "transformer": transformer, "seed": seed, "device": device.value}
    target = out or midi.with_stem(f"{midi.stem} extended")
    _tell(_shown("extend_midi", midi, target, options=[*manner, *(options or [])], **choices), as_json)


def revoice(
    vocals: Song,
    voice: Voice = DEFAULT_VOICE,
    out: OutFile = None,
    seed: Seed = 0,
    device: On = Device.auto,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Sing a vocal recording with another voice."""
    target = out or vocals.with_name(f"{vocals.stem} sung by {voice}.wav")
    choices = {"voice": voice, "seed": seed, "device": device.value}
    _tell(_shown("revoice_file", vocals, target, options=options, **choices), as_json)


def render(
    midi: Midi,
    out: OutFile = None,
    instrument: Instruments = None,
    soundfont: Soundfont = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Play a MIDI file on the instruments of a SoundFont."""
    chosen = [*playing(instrument, soundfont), *(options or [])]
    _tell(_shown("render_midi", midi, out or midi.with_suffix(".wav"), options=chosen), as_json)


def mix(
    voice: Annotated[Path, typer.Argument(help="The voice.")],
    backing: Annotated[Path, typer.Argument(help="What plays under it.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("mix.wav"),
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Mix a voice and its backing at the loudness target."""
    made = _shown("mix_files", voice, backing, out, options=options)
    console.print(f"{made.loudness_lufs:.1f} LUFS, true peak {made.true_peak_dbtp:.1f} dBTP", highlight=False)
    _tell(out, as_json)


def _shown(flow: str, *args: Any, options: list[str] | None, **choices: Any) -> Any:
    """Run a flow of `flows.single_stages` with its progress on the terminal."""
    from flows.cli.server import server

    with server() as ready:
        with console.status("Starting"):
            from flows import single_stages
            from flows.cli.live import shown
            from flows.options import StageSettings, with_options

            settings = with_options(StageSettings(), options or [])
            ready()
        with shown(console):
            return getattr(single_stages, flow)(*args, settings=settings, **choices)


def _tell(written: Path | tuple[Path, ...], as_json: bool) -> None:
    paths = [str(path) for path in (written if isinstance(written, tuple) else (written,))]
    print(json.dumps(paths) if as_json else "\n".join(paths))
