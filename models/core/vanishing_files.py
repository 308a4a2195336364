"""File metadata where other processes may remove the files meanwhile."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def stat_or_none(path: Path) -> os.stat_result | None:
    """A file's `stat`, or None if it does not exist."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat()
    return None


def existing(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """The files that exist, each with its `stat`."""
    return ((path, stat) for path in paths if (stat := stat_or_none(path)))


def total_bytes(paths: Iterable[Path]) -> int:
    """The size of the files that exist, in bytes."""
    return sum(stat.st_size for _, stat in existing(paths))
