"""A file becomes a song in the store."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.records import Song
from tasks.progress import stage_watch
from tasks.store import Store


@task(name="ingest", task_run_name="ingest", cache_policy=NO_CACHE, persist_result=False)
def ingest(path: Path) -> Song:
    """Decode a song to 44.1 kHz stereo; the same sound is the same clip, whatever its name, tags or lossless format."""
    from models.decoding import SAMPLE_RATE, IngestSettings, decode, read_tags

    blocks = decode(path, IngestSettings(), stage_watch("ingest"))
    return Song(read_tags(path).title, Store().put(blocks, SAMPLE_RATE))
