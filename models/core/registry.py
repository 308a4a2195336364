"""The registry of weights, `weights/manifest.toml`: every file with its SHA-256, size, licence and source.

A file is hashed before anything in it is read; tensors come from safetensors, or from a checkpoint that is read with
`weights_only=True`.
"""

import hashlib
import os
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from models.core.errors import BadInput, unknown_name

SHIPPED = Path(__file__).resolve().parent.parent.parent / "weights"


@dataclass(frozen=True)
class Weights:
    """One entry of the manifest: `kind` is its use, `file` its path in the weights folder, `url` is empty if shipped.

    `bytes` is 0 where the publisher states a SHA-256 but no exact size.
    """

    name: str
    kind: str
    file: str
    sha256: str
    bytes: int
    licence: str
    source: str
    url: str
    quality: str

    @property
    def shipped(self) -> bool:
        return not self.url

    @property
    def path(self) -> Path:
        """The path of the file, fetched or not."""
        return (SHIPPED if self.shipped else fetched_folder()) / self.file


def home() -> Path:
    """The folder of everything made at run time: `$REMIX_HOME`, by default the project's `.remix`."""
    return Path(os.environ.get("REMIX_HOME") or SHIPPED.parent / ".remix")


def fetched_folder() -> Path:
    """The folder of fetched weights."""
    return home() / "weights"


@cache
def manifest() -> tuple[Weights, ...]:
    """Every entry of `weights/manifest.toml`, in its order."""
    rows = tomllib.loads((SHIPPED / "manifest.toml").read_text()).get("weights", [])
    return tuple(Weights(**{"url": "", **row}) for row in rows)


def find(kind: str, name: str) -> Weights:
    """The entry of that kind and name; raises `BadInput` naming the nearest ones."""
    known = {w.name: w for w in manifest() if w.kind == kind}
    if name not in known:
        raise unknown_name(kind.replace("_", " "), name, known)
    return known[name]


def verified(weights: Weights) -> Path:
    """The path of a weights file that matches its SHA-256; raises `BadInput` for a missing or different one."""
    path = weights.path
    if not path.is_file() and weights.shipped:
        raise BadInput(f"The weights file {path}, which comes with the project, is missing; check it out again.")
    if not path.is_file():
        raise BadInput(
            f"The weights {weights.name!r} are not here; fetch them with: remix weights fetch {weights.name}"
        )
    if file_digest(path) != weights.sha256:
        raise BadInput(
            f"The weights file {path} is not what the manifest says (wrong SHA-256: half fetched or altered); "
            f"delete it and fetch or check it out again."
        )
    return path


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hex; cached until its size or modification time changes."""
    stat = path.stat()
    return _digest(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=256)
def _digest(path: str, size: int, mtime_ns: int, inode: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
