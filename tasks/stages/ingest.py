"""A file becomes a song in the store."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.core.registry import file_digest, home
from models.core.types import Clip, Song
from tasks.cache.fingerprint import code_digest, digest_of, versions
from tasks.cache.store import Damaged, Store
from tasks.runs.progress import stage_watch


@task(name="ingest", task_run_name="ingest", cache_policy=NO_CACHE, persist_result=False)
def ingest(path: Path) -> Song:
    """Decode a song to 44.1 kHz stereo; the same sound is the same clip, whatever its name, tags or lossless format.

    A file of bytes that were decoded before is not decoded again.
    """
    from models.audio.decode import SAMPLE_RATE, decode
    from models.audio.settings import IngestSettings
    from models.audio.tags import read_tags

    def decoded() -> Song:
        clip = Store().put(decode(path, IngestSettings(), stage_watch("ingest")), SAMPLE_RATE)
        return Song(read_tags(path).title, clip)

    return once(path, decoded)


def once(path: Path, decoded: Callable[[], Song]) -> Song:
    """The song in a file: as it was noted when its bytes were decoded before, else what `decoded()` makes of it."""
    from models.audio.tags import read_tags

    note = note_of(path)
    clip = noted(note)
    if clip:
        return Song(read_tags(path).title, clip)
    song = decoded()
    if note_of(path) == note:  # else the file was replaced meanwhile
        _write(note, song.audio)
    return song


def decoded_folder() -> Path:
    """Where it is noted which clip the bytes of a file were decoded to."""
    return home() / "decoded"


def note_of(path: Path) -> Path | None:
    """Where the note about a file's bytes and the code that decodes them lies; None for a file that cannot be read."""
    try:
        content = file_digest(path)
    except OSError:
        return None
    material = [content, code_digest("models.audio.decode"), versions(("imageio-ffmpeg", "numpy", "soxr"))]
    return decoded_folder() / f"{digest_of(material)}.json"


def named_in(note: Path) -> Clip | None:
    """The clip that a note names, whether or not it is there."""
    try:
        return Clip(**json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def noted(note: Path | None) -> Clip | None:
    """The clip that a note names, if it is whole; both count as used now."""
    clip = named_in(note) if note else None
    if not note or not clip:
        return None
    try:
        for used in (note, Store().path(clip)):
            os.utime(used)
        Store().check(clip)
    except (OSError, Damaged):
        return None
    return clip


def _write(note: Path | None, clip: Clip) -> None:
    """Where there is no room for the note, the next run decodes again."""
    if note is None:
        return
    partial = note.with_suffix(f".{os.getpid()}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(asdict(clip)))
        os.replace(partial, note)
    except OSError:
        partial.unlink(missing_ok=True)
