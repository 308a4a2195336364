"""Each stage alone, on files: the same tasks and the same cache as the remix, as small flows."""

import sys
from pathlib import Path

from prefect import flow

from flows.devices import in_precision, resolved
from flows.options import DEFAULTS, Device, StageSettings
from flows.separators import usable
from models.audio.encode import write_bytes, write_flac, write_wav
from models.audio.tags import read_tags
from models.conversion import DEFAULT_VOICE
from models.conversion.voices.registry import consent, find_voice
from models.core.errors import BadInput
from models.core.types import Clip, Grid, Mix, Score, Stems, Take, Voices
from models.core.writable import check_file_writable, check_writable
from models.generation import shortcomings
from models.symbolic.midi import from_midi, to_midi
from models.symbolic.score_ops import joined
from tasks.cache.in_use import in_use
from tasks.cache.store import Store
from tasks.runs.provenance import CONVERTED
from tasks.stages.analyse import listen
from tasks.stages.convert import revoice
from tasks.stages.extend import extend
from tasks.stages.ingest import ingest
from tasks.stages.mix import mix_takes
from tasks.stages.render import SAMPLE_RATE, render
from tasks.stages.separate import part_voices, separate
from tasks.stages.track_f0 import follow_pitch
from tasks.stages.transcribe import transcribe

_TAIL_S = 2.0


@flow(name="separate", flow_run_name="separate {song}", persist_result=False)
def separate_file(
    song: Path,
    out: Path,
    separator: str = "band-mask",
    splitter: str = "lead-backing",
    seed: int = 0,
    device: Device = "auto",
    settings: StageSettings = DEFAULTS,
) -> tuple[Path, ...]:
    """Take a song apart into FLAC files named for the stems: drums, bass, other, vocals, lead and backing vocals."""
    check_writable(out, f"The output folder {out}")
    with in_use():
        stems, voices = _apart(ingest(song).audio, separator, splitter, seed, resolved(device), settings)
        named = {
            "drums": stems.drums,
            "bass": stems.bass,
            "other": stems.other,
            "vocals": stems.vocals,
            "lead_vocals": voices.lead_vocals,
            "backing_vocals": voices.backing_vocals,
        }
        out.mkdir(parents=True, exist_ok=True)
        return tuple(_flac(clip, out / f"{name}.flac") for name, clip in named.items())


@flow(name="transcribe", flow_run_name="transcribe {song}", persist_result=False)
def transcribe_file(
    song: Path,
    out: Path,
    separator: str = "band-mask",
    splitter: str = "lead-backing",
    seed: int = 0,
    device: Device = "auto",
    settings: StageSettings = DEFAULTS,
) -> Path:
    """Write a song down as MIDI: bass, harmony, drums and the sung melody, on the song's own beats."""
    check_file_writable(out)
    with in_use():
        audio = ingest(song).audio
        stems, voices = _apart(audio, separator, splitter, seed, resolved(device), settings)
        grid = listen(stems.drums, stems.bass, stems.other, settings.listen, resolved(device))
        pitch = follow_pitch(voices.lead_vocals, audio, settings.follow_pitch)
        score = transcribe(
            stems.drums, stems.bass, stems.other, voices.lead_vocals, pitch, settings.transcribe, stems.parts
        )
        write_bytes(to_midi(score, grid), out)
        return out


def _apart(
    audio: Clip, separator: str, splitter: str, seed: int, on: str, settings: StageSettings
) -> tuple[Stems, Voices]:
    settings = in_precision(settings, on)
    chosen = usable(separator)
    _say(chosen.notes)
    stems = separate(audio, chosen.separator, settings.separate, seed, on)
    return stems, part_voices(stems.vocals, splitter, settings.part_voices, seed, on)


@flow(name="extend", flow_run_name="extend {midi}", persist_result=False)
def extend_midi(
    midi: Path,
    out: Path,
    bars: int = 8,
    transformer: str = "small",
    seed: int = 0,
    device: Device = "auto",
    settings: StageSettings = DEFAULTS,
) -> Path:
    """Play a MIDI file on for so many bars; writes the old and the new notes together."""
    if not 1 <= bars <= 64:
        raise BadInput(f"The transformer plays on for 1 to 64 bars, not {bars}.")
    check_file_writable(out)
    score, grid = _midi(midi)
    _say(shortcomings(score, grid, score.end_s, accompanied=False))
    with in_use():
        more = extend(score, grid, score.end_s, bars, transformer, settings.extend, seed, resolved(device))
    write_bytes(to_midi(joined(score, more.score), more.grid), out)
    return out


@flow(name="revoice", flow_run_name="{vocals} sung by {voice}", persist_result=False)
def revoice_file(
    vocals: Path,
    out: Path,
    voice: str = DEFAULT_VOICE,
    seed: int = 0,
    device: Device = "auto",
    settings: StageSettings = DEFAULTS,
) -> Path:
    """Sing a vocal recording with another voice."""
    check_file_writable(out)
    ground = consent(find_voice(voice)).ground
    with in_use():
        sung = revoice(ingest(vocals).audio, voice, settings.revoice, seed, resolved(device))
        write_wav(Store().source(sung), out, comment=f"{CONVERTED}: {voice} ({ground})")
    return out


@flow(name="render", flow_run_name="render {midi}", persist_result=False)
def render_midi(midi: Path, out: Path, settings: StageSettings = DEFAULTS) -> Path:
    """Play a MIDI file on the instruments of a SoundFont."""
    check_file_writable(out)
    score, _ = _midi(midi)
    with in_use():
        played = render(score, round((score.end_s + _TAIL_S) * SAMPLE_RATE), settings.render)
        write_wav(Store().source(played), out)
    return out


@flow(name="mix", flow_run_name="mix {voice} with {backing}", persist_result=False)
def mix_files(voice: Path, backing: Path, out: Path, settings: StageSettings = DEFAULTS) -> Mix:
    """Mix a voice and its backing, both from their first sample, at the loudness target.

    Where one says that it holds an AI-converted voice, so does the mix.
    """
    check_file_writable(out)
    with in_use():
        sung, played = ingest(voice).audio, ingest(backing).audio
        mix = mix_takes((Take(sung, 0.0, 0.0),), (Take(played, 0.0, 0.0),), settings.mixdown, settings.master)
        write_wav(Store().source(mix.audio), out, comment=converted(voice, backing))
    return mix


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
