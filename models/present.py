"""Files that other processes write and remove while one looks at them."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def present(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Those of the files that are still there, each with what the file system says of it."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            yield path, path.stat()


def bytes_of(paths: Iterable[Path]) -> int:
    """How many bytes those of the files hold that are still there."""
    return sum(stat.st_size for _, stat in present(paths))
