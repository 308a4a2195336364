"""The cache's statistics, its verification, and the collection of its least recently used results."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from models.core.registry import home
from models.core.vanishing_files import existing, stat_or_none, total_bytes
from tasks.cache.caching import STAGES, check_record, clips_in, kept_record, results_folder
from tasks.cache.in_use import oldest_start
from tasks.cache.store import Damaged
from tasks.stages.ingest import decoded_folder, named_in


@dataclass(frozen=True)
class CacheStats:
    """How many results and clips are kept, the bytes of both, and the results of each stage."""

    results: int
    clips: int
    bytes: int
    by_stage: dict[str, int]


@dataclass(frozen=True)
class Collected:
    """What a collection removed."""

    results: int
    clips: int
    bytes: int


def stats() -> CacheStats:
    """Count what is kept."""
    keys = [path.name for path in _records()]
    blobs = list(_blobs())
    by_stage: dict[str, int] = {}
    for key in keys:
        name = key.partition("-")[0]
        by_stage[name] = by_stage.get(name, 0) + 1
    return CacheStats(len(keys), len(blobs), total_bytes((*_records(), *blobs)), by_stage)


def damaged() -> tuple[str, ...]:
    """The keys of results that do not load, or name a clip that is missing or altered."""

    def is_damaged(path: Path) -> bool:
        try:
            check_record(path.name)
        except Damaged:
            return True
        return False

    return tuple(path.name for path in _records() if is_damaged(path))


def collect(limit_bytes: int) -> Collected:
    """Throw out results, oldest use first, with the clips only they name, until all fits in `limit_bytes`.

    So do the notes of which files were decoded to which clips. Clips that nothing names go first. Nothing that a run
    under way has made or looked up is touched.
    """
    spared_from = oldest_start() or float("inf")
    stats_by_path = dict(existing((*_records(), *decoded_folder().glob("*.json"))))
    records = sorted(stats_by_path, key=lambda path: stats_by_path[path].st_mtime)
    named = {path: _clip_names(path) for path in records}
    uses = Counter(name for names in named.values() for name in names)
    blobs = {path.stem: path for path in _blobs()}
    for path, stat in existing(_failures()):
        if stat.st_mtime < spared_from:
            path.unlink(missing_ok=True)
    over = total_bytes((*records, *blobs.values())) - limit_bytes
    gone: list[tuple[Path, int]] = []

    def removed(path: Path) -> bool:
        stat = stat_or_none(path)
        if stat and stat.st_mtime >= spared_from:
            return False
        if stat:
            gone.append((path, stat.st_size))
            path.unlink(missing_ok=True)
        return True

    def remove_unnamed(names: Iterable[str]) -> None:
        for name in names:
            if not uses[name] and name in blobs and removed(blobs[name]):
                del blobs[name]

    remove_unnamed(list(blobs))
    for path in records:
        if sum(size for _, size in gone) >= over or not removed(path):
            break
        uses.subtract(named[path])
        remove_unnamed(named[path])
    clips = sum(path.suffix == ".wav" for path, _ in gone)
    return Collected(len(gone) - clips, clips, sum(size for _, size in gone))


def _records() -> Iterator[Path]:
    """The kept results of stages."""
    return (path for path in results_folder().glob("*-*") if path.name.partition("-")[0] in STAGES)


def _failures() -> Iterator[Path]:
    """What Prefect keeps of runs that failed; nothing ever looks for it."""
    return (path for path in results_folder().glob("*") if path.name.partition("-")[0] not in STAGES)


def _blobs() -> Iterator[Path]:
    return (home() / "blobs").glob("*/*.wav")


def _clip_names(path: Path) -> frozenset[str]:
    if path.parent == decoded_folder():
        clip = named_in(path)
        return frozenset({clip.sha256} if clip else ())
    try:
        return frozenset(clip.sha256 for clip in clips_in(kept_record(path.name)))
    except Damaged:
        return frozenset()
