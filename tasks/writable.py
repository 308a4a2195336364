"""Whether what is to be written can be, asked before minutes of work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from tempfile import TemporaryFile

from models.errors import BadInput
from models.registry import home


def check_writable(out: Path) -> None:
    """Raise `BadInput` now, not after minutes of work, if nothing can be written below a folder."""
    with _told(f"The output folder {out}"):
        _try_below(out)


def check_homes() -> None:
    """Raise `BadInput` if nothing can be kept: neither sounds and results, nor what Prefect remembers of runs."""
    for folder, variable in ((home(), "REMIX_HOME"), (Path(os.environ["PREFECT_HOME"]).expanduser(), "PREFECT_HOME")):
        with _told(f"{folder} ({variable})"):
            _try_below(folder)
            folder.mkdir(parents=True, exist_ok=True)


def check_file_writable(out: Path) -> None:
    """Raise `BadInput` now, not after minutes of work, if a file cannot be written."""
    with _told(str(out)):
        if out.is_dir():
            raise IsADirectoryError(EISDIR, "")
        TemporaryFile(dir=out.parent).close()


def _try_below(folder: Path) -> None:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    TemporaryFile(dir=there).close()


@contextmanager
def _told(named: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"{named} cannot be written: {os.strerror(error.errno or 0)}.") from None
