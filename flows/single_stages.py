"""Each stage alone, on files: the same tasks and the same cache as the remix, as small flows."""

import sys
from pathlib import Path

from prefect import flow

from flows.options import OUTRO_BARS, RemixOptions
from flows.parameters import spread
from flows.remix import Context
from flows.separators import usable
from models.audio.encode import write_bytes, write_flac, write_wav
from models.audio.tags import read_tags
from models.conversion.voices.registry import consent, find_voice
from models.core.errors import BadInput
from models.core.types import Clip, Grid, Mix, Prompt, Score, Stems, Take, Voices
from models.core.writable import check_file_writable, check_writable
from models.generation import sparse_input_warnings
from models.symbolic.midi import from_midi, to_midi
from models.symbolic.score_ops import merge_scores
from tasks.cache.in_use import in_use
from tasks.cache.store import Store
from tasks.runs.provenance import CONVERTED
from tasks.stages.analyse import analyse
from tasks.stages.convert import convert
from tasks.stages.extend import extend
from tasks.stages.ingest import ingest
from tasks.stages.mix import mix_takes
from tasks.stages.render import SAMPLE_RATE, render
from tasks.stages.separate import separate
from tasks.stages.split_vocals import split_vocals
from tasks.stages.track_f0 import track_f0
from tasks.stages.transcribe import transcribe

_TAIL_S = 2.0


@flow(name="separate", flow_run_name="separate {song}", persist_result=False)
@spread(RemixOptions, "separator", "splitter", "seed", "device", "settings")
def separate_file(song: Path, out: Path, options: RemixOptions) -> tuple[Path, ...]:
    """Separate a song into FLAC files named for the stems: drums, bass, other, vocals, lead and backing vocals.

    Args:
        song: The audio file.
        out: The folder that gets the stems.
    """
    check_writable(out, f"The output folder {out}")
    with in_use():
        stems, voices = _separated(ingest(song).audio, Context.of(options))
        named = {name: getattr(stems, name) for name in ("drums", "bass", "other", "vocals")}
        named |= {"lead_vocals": voices.lead_vocals, "backing_vocals": voices.backing_vocals}
        out.mkdir(parents=True, exist_ok=True)
        return tuple(_flac(clip, out / f"{name}.flac") for name, clip in named.items())


@flow(name="transcribe", flow_run_name="transcribe {song}", persist_result=False)
@spread(RemixOptions, "separator", "splitter", "seed", "device", "settings")
def transcribe_file(song: Path, out: Path, options: RemixOptions) -> Path:
    """Transcribe a song to MIDI: bass, harmony, drums and the sung melody, on the song's own beats.

    Args:
        song: The audio file.
        out: The MIDI file to write.
    """
    check_file_writable(out)
    context = Context.of(options)
    settings = context.settings
    with in_use():
        audio = ingest(song).audio
        stems, voices = _separated(audio, context)
        grid = analyse(stems.drums, stems.bass, stems.other, settings.analyse, context.device)
        f0 = track_f0(voices.lead_vocals, audio, settings.track_f0)
        score = transcribe(
            stems.drums, stems.bass, stems.other, voices.lead_vocals, f0, settings.transcribe, stems.parts
        )
        write_bytes(to_midi(score, grid), out)
        return out


def _separated(audio: Clip, context: Context) -> tuple[Stems, Voices]:
    options, settings = context.options, context.settings
    chosen = usable(options.separator)
    _say(chosen.notes)
    stems = separate(audio, chosen.separator, settings.separate, options.seed, context.device)
    voices = split_vocals(stems.vocals, options.splitter, settings.split_vocals, options.seed, context.device)
    return stems, voices


@flow(name="extend", flow_run_name="extend {midi}", persist_result=False)
@spread(RemixOptions, "transformer", "seed", "device", "settings")
def extend_midi(midi: Path, out: Path, options: RemixOptions, bars: int = 8) -> Path:
    """Continue a MIDI file for so many bars; writes the old and the new notes together.

    Args:
        midi: The MIDI file.
        out: The MIDI file to write.
        bars: How many bars, 1 to 64.
    """
    if not 1 <= bars <= OUTRO_BARS[1]:
        raise BadInput(f"The transformer continues for 1 to {OUTRO_BARS[1]} bars, not {bars}.")
    check_file_writable(out)
    context = Context.of(options)
    score, grid = _midi(midi)
    _say(sparse_input_warnings(score, grid, score.end_s, accompanied=False))
    with in_use():
        prompt = Prompt(score, grid, score.end_s)
        more = extend(prompt, bars, options.transformer, context.settings.extend, options.seed, context.device)
    write_bytes(to_midi(merge_scores(score, more.score), more.grid), out)
    return out


@flow(name="convert", flow_run_name="convert {vocals} to {voice}", persist_result=False)
@spread(RemixOptions, "voice", "seed", "device", "settings")
def convert_file(vocals: Path, out: Path, options: RemixOptions) -> Path:
    """Convert a vocal recording to another voice.

    Args:
        vocals: The audio file.
        out: The WAV file to write.
    """
    check_file_writable(out)
    ground = consent(find_voice(options.voice)).ground
    context = Context.of(options)
    with in_use():
        sung = convert(ingest(vocals).audio, options.voice, context.settings.convert, options.seed, context.device)
        write_wav(Store().source(sung), out, comment=f"{CONVERTED}: {options.voice} ({ground})")
    return out


@flow(name="render", flow_run_name="render {midi}", persist_result=False)
@spread(RemixOptions, "instrument", "soundfont", "settings")
def render_midi(midi: Path, out: Path, options: RemixOptions) -> Path:
    """Render a MIDI file on the instruments of a SoundFont.

    Args:
        midi: The MIDI file.
        out: The WAV file to write.
    """
    check_file_writable(out)
    settings = options.stage_settings().render
    score, _ = _midi(midi)
    with in_use():
        played = render(score, round((score.end_s + _TAIL_S) * SAMPLE_RATE), settings)
        write_wav(Store().source(played), out)
    return out


@flow(name="mix", flow_run_name="mix {voice} with {backing}", persist_result=False)
@spread(RemixOptions, "settings")
def mix_files(voice: Path, backing: Path, out: Path, options: RemixOptions) -> Mix:
    """Mix a voice and its backing, both from their first sample, at the loudness target.

    Where one says that it holds an AI-converted voice, so does the mix.

    Args:
        voice: The voice's audio file.
        backing: The backing's audio file.
        out: The WAV file to write.
    """
    check_file_writable(out)
    settings = options.stage_settings()
    with in_use():
        sung, played = ingest(voice).audio, ingest(backing).audio
        mixed = mix_takes((Take(sung, 0.0, 0.0),), (Take(played, 0.0, 0.0),), settings.mix, settings.master)
        write_wav(Store().source(mixed.audio), out, comment=converted(voice, backing))
    return mixed


def _say(notes: tuple[str, ...]) -> None:
    """What the user is to know, a sentence a line."""
    for note in notes:
        print(note, file=sys.stderr)


def converted(*files: Path) -> str:
    """What audio files say in their tags of AI-converted voices in them, each once; "" where they say nothing of it."""
    comments = [text for file in files for name, text in read_tags(file).fields if name.lower() == "comment"]
    said = [part for comment in comments for part in comment.split(" / ") if part.startswith(CONVERTED)]
    return " / ".join(dict.fromkeys(said))


def _flac(clip: Clip, path: Path) -> Path:
    write_flac(Store().source(clip), path)
    return path


def _midi(path: Path) -> tuple[Score, Grid]:
    try:
        return from_midi(path.read_bytes())
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
