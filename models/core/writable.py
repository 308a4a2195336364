"""Whether what is to be written can be, asked before minutes of work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from tempfile import TemporaryFile

from models.core.errors import BadInput


def check_writable(folder: Path, named: str) -> None:
    """Raise `BadInput` now, not after minutes of work, if nothing can be written below a folder.

    Where it is not there yet that is asked of the place where it would be made.
    """
    with _told(named):
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
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
