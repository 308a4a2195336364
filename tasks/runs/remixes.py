"""Finished remixes: a folder a run below `remixes`, here and in the store that machines share, and their addresses."""

import json
import re
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from models.core.registry import home
from models.core.vanishing_files import existing, total_bytes
from tasks.cache.in_use import alone
from tasks.cache.remote_store import shared

_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def remixes_folder() -> Path:
    """Where the service's remixes lie, a folder a run."""
    return home() / "remixes"


def is_run(name: str) -> bool:
    """Whether a name has the form of a run's id.

    >>> is_run("../../etc"), is_run("0190a3b2-7c44-7d6e-8f00-0123456789ab")
    (False, True)
    """
    return bool(_RUN.fullmatch(name))


def remixes_of(run_id: str) -> list[Path]:
    """The folders of a run's finished remix, taken from the shared store where this machine has none."""
    if not is_run(run_id):
        return []
    return _here(run_id) or _pulled(run_id)


def file_of(run_id: str, name: str) -> Path | None:
    """A file of a run's finished remix by its relative name, or None; never one outside of the run's folder."""
    if not remixes_of(run_id):
        return None
    root = remixes_folder().resolve() / run_id
    try:
        path = (root / name).resolve()
        inside = path.is_relative_to(root) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # a name too long, one with a null byte, links in a ring
        return None
    return path if inside else None


def old_remixes(days: float) -> list[str]:
    """The runs whose finished remix, here or in the shared store, was made so many days ago or longer."""
    before, store = time.time() - days * 86400, shared()
    made: dict[str, float] = {}
    for path, stat in existing(remixes_folder().glob("*/*/manifest.json")):
        made[path.parts[-3]] = max(made.get(path.parts[-3], 0.0), stat.st_mtime)
    for one in store.objects("remixes") if store else ():
        run_id = one.key.split("/")[1]
        made[run_id] = max(made.get(run_id, 0.0), one.written_at)
    return sorted(run_id for run_id, at in made.items() if at < before and is_run(run_id))


def remove_remix(run_id: str) -> int:
    """Remove what a run has left, here and in the shared store; returns its bytes. The run must be over."""
    folder, store = remixes_folder() / run_id, shared()
    there = store.objects(f"remixes/{run_id}") if store and is_run(run_id) else []
    here = total_bytes(path for path in folder.rglob("*") if path.is_file())
    for one in sorted(there, key=lambda one: manifests_last(one.key), reverse=True):
        if store:
            store.remove(one.key)
    if is_run(run_id):
        shutil.rmtree(folder, ignore_errors=True)
    return max(here, sum(one.bytes for one in there))


def note_remixed(marker: str, run_id: str) -> None:
    """Note, here and in the shared store, that what a marker says was remixed by a run."""
    _write_note(marker, {"run": run_id})


def remixed_by(marker: str) -> str | None:
    """The run that made a remix, if its result is still there or was collected because it was old."""
    note = _note(marker)
    run_id = str(note.get("run", ""))
    if note.get("collected"):
        return run_id
    store = shared()
    there = is_run(run_id) and (store.keys(f"remixes/{run_id}") if store else _here(run_id))
    return run_id if there else None


def forget_notes(run_ids: Collection[str], collected: bool) -> None:
    """Take away the notes that these runs made a remix, or only note that it was collected, so that none is due."""
    store = shared()
    names = {path.name for path in _notes().glob("*.json")}
    names |= {Path(one.key).name for one in store.objects("remixed")} if store else set()
    for marker in sorted(Path(name).stem for name in names):
        note = _note(marker)
        if note.get("run") not in run_ids:
            continue
        if collected:
            _write_note(marker, note | {"collected": True})
            continue
        (_notes() / f"{marker}.json").unlink(missing_ok=True)
        if store:
            store.remove(f"remixed/{marker}.json")


def _notes() -> Path:
    return home() / "remixed"


def _note(marker: str) -> dict[str, Any]:
    """The note of that name, empty where there is none."""
    store, path = shared(), _notes() / f"{marker}.json"
    try:
        note = json.loads((store.read(f"remixed/{marker}.json") if store else path.read_bytes()) or b"")
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _write_note(marker: str, note: dict[str, Any]) -> None:
    path = _notes() / f"{marker}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if store := shared():
        store.write(f"remixed/{marker}.json", json.dumps(note).encode())
    path.write_text(json.dumps(note))


def address_of(folder: Path, run_id: str) -> str | None:
    """Where `remix server` serves a run's remix, relative to the UI's own host; None where the folder is no run's.

    >>> address_of(remixes_folder() / "0190a3b2-7c44-7d6e-8f00-0123456789ab" / "a song", run_id="")
    >>> run = "0190a3b2-7c44-7d6e-8f00-0123456789ab"
    >>> address_of(remixes_folder() / run / "a song (2)", run)
    '/remixes/0190a3b2-7c44-7d6e-8f00-0123456789ab/a%20song%20%282%29'
    """
    if not is_run(run_id) or folder.absolute().parent != remixes_folder().absolute() / run_id:
        return None
    return f"/remixes/{run_id}/{quote(folder.name)}"


def manifests_last(name: str | Path) -> tuple[bool, str]:
    """By which a remix's files are sorted to be copied: a folder that has its manifest is whole."""
    return Path(name).name == "manifest.json", str(name)


def _here(run_id: str) -> list[Path]:
    return [path.parent for path in sorted((remixes_folder() / run_id).glob("*/manifest.json"))]


def _pulled(run_id: str) -> list[Path]:
    """The folders of a run once every file of theirs was taken from the shared store."""
    store = shared()
    keys = [one.key for one in store.objects(f"remixes/{run_id}")] if store else []
    if not store or not keys:
        return []
    with alone(f"pull-{run_id}"):
        for key in sorted(keys, key=manifests_last):
            if not (home() / key).is_file():
                store.pull(key, home() / key)
    return _here(run_id)
