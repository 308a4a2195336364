"""Checks that outputs can be written, before minutes of work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from tempfile import TemporaryFile

from models.core.errors import BadInput


def check_writable(folder: Path, named: str) -> None:
    """Raise `BadInput` if nothing can be written below a folder.

    For a folder that does not exist, its nearest existing parent is checked.
    """
    with _as_bad_input(named):
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        TemporaryFile(dir=existing).close()


def check_file_writable(out: Path) -> None:
    """Raise `BadInput` if a file cannot be written."""
    with _as_bad_input(str(out)):
        if out.is_dir():
            raise IsADirectoryError(EISDIR, "")
        TemporaryFile(dir=out.parent).close()


@contextmanager
def _as_bad_input(named: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"{named} cannot be written: {os.strerror(error.errno or 0)}.") from None
