"""Whether an output can be written, asked before minutes of work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from tempfile import TemporaryFile

from models.errors import BadInput


def check_writable(out: Path) -> None:
    """Raise `BadInput` now, not after minutes of work, if nothing can be written below a folder."""
    with _told(f"The output folder {out}"):
        there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        TemporaryFile(dir=there).close()


def check_file_writable(out: Path) -> None:
    """Raise `BadInput` now, not after minutes of work, if a file cannot be written."""
    with _told(str(out)):
        if out.is_dir():
            raise IsADirectoryError(EISDIR, "")
        TemporaryFile(dir=out.parent).close()


@contextmanager
def _told(named: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"{named} cannot be written: {os.strerror(error.errno or 0)}.") from None
