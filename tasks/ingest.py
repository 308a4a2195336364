"""A file becomes a song in the store."""

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.records import Clip, Song
from models.registry import file_digest, home
from tasks.fingerprint import code_digest, digest_of, versions
from tasks.progress import stage_watch
from tasks.store import Damaged, Store


@task(name="ingest", task_run_name="ingest", cache_policy=NO_CACHE, persist_result=False)
def ingest(path: Path) -> Song:
    """Decode a song to 44.1 kHz stereo; the same sound is the same clip, whatever its name, tags or lossless format."""
    from models.decoding import SAMPLE_RATE, IngestSettings, decode, read_tags

    song = decoded_before(path)
    if song is None:
        clip = Store().put(decode(path, IngestSettings(), stage_watch("ingest")), SAMPLE_RATE)
        song = Song(read_tags(path).title, clip)
        remember_decoded(path, song)
    return song


def decoded_before(path: Path) -> Song | None:
    """What a file of the same bytes was decoded to by the same code, if that is whole; it counts as used now."""
    try:
        kept = json.loads(_note(path).read_text())
        clip = Clip(**kept["clip"])
        os.utime(Store().path(clip))
        Store().check(clip)
    except (OSError, ValueError, TypeError, KeyError, Damaged):
        return None
    return Song(kept["title"] or path.stem, clip)


def remember_decoded(path: Path, song: Song) -> None:
    """Note what a file was decoded to; where there is no room for the note, the next run decodes again."""
    with suppress(OSError):
        note = _note(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        partial = note.with_suffix(f".{os.getpid()}")
        title = "" if song.title == path.stem else song.title  # a file without a title is named by its stem
        partial.write_text(json.dumps({"title": title, "clip": asdict(song.audio)}))
        os.replace(partial, note)


def _note(path: Path) -> Path:
    """Where the note about a file's content lies; raises OSError for a file that cannot be read."""
    material = [file_digest(path), code_digest("models.decoding"), versions(("imageio-ffmpeg", "numpy", "soxr"))]
    return home() / "decoded" / f"{digest_of(material)}.json"
