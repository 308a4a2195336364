"""Files that other processes write and remove while one looks at them."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def stat_of(path: Path) -> os.stat_result | None:
    """What the file system says of a file, or None where it is not there, or no longer."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat()
    return None


def present(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Those of the files that are still there, each with what the file system says of it."""
    return ((path, stat) for path in paths if (stat := stat_of(path)))


def bytes_of(paths: Iterable[Path]) -> int:
    """How many bytes those of the files hold that are still there."""
    return sum(stat.st_size for _, stat in present(paths))
