"""Which kept results hold which voice, so that they can be deleted when it is removed or revoked.

What a voice sang is marked, and so is all that was made of it: the mix holds the voice too.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from models.core.registry import home
from models.core.types import Clip
from tasks.cache.remote_store import shared

SINGER = "voice"
"""The input of a stage that names who sings."""


def mark(key: str, inputs: dict[str, Any], taken: Iterable[Clip], made: Iterable[Clip]) -> None:
    """Note that a result made of clips holds clips, where the stage's inputs or those clips say that a voice sings."""
    singers = {singer for clip in taken for singer in _singers(clip)}
    if isinstance(inputs.get(SINGER), str):
        singers.add(inputs[SINGER])
    digests = sorted({clip.sha256 for clip in made})
    for singer in singers:
        for sha256 in digests:
            _write(_folder(singer) / "clips" / sha256, "")
        _write(_folder(singer) / "results" / key, json.dumps(digests))


def forget(voice: str) -> int:
    """Delete every kept result and clip that holds a voice, here and in the shared store; returns how many results."""
    store, forgotten = shared(), 0
    for marked in _files(_folder(voice) / "results"):
        gone = [Path("results") / marked.name, Path("seconds") / marked.name]
        gone += [Path("blobs") / sha256[:2] / f"{sha256}.wav" for sha256 in _clips(marked)]
        for path in gone:
            (home() / path).unlink(missing_ok=True)
            if store:
                store.remove(path.as_posix())
        forgotten += 1
    shutil.rmtree(_folder(voice), ignore_errors=True)
    return forgotten


def kept(voice: str) -> bool:
    """Whether there may be results that hold a voice."""
    return _folder(voice).is_dir()


def _clips(marked: Path) -> list[str]:
    """The digests of the clips that a marked result holds; none where the mark is damaged."""
    try:
        return [str(sha256) for sha256 in json.loads(marked.read_text())]
    except (ValueError, TypeError):
        return []


def _singers(clip: Clip) -> Iterator[str]:
    for folder in _files(home() / "sung"):
        if (folder / "clips" / clip.sha256).exists():
            yield folder.name


def _folder(voice: str) -> Path:
    return home() / "sung" / Path(voice).name


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix != ".part") if folder.is_dir() else []


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{uuid.uuid4().hex}.part")
    partial.write_text(text)
    os.replace(partial, path)
