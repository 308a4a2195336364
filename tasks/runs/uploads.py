"""Uploaded songs: their bytes by SHA-256 in the store, so that a run names a song by its digest and never by a path.

An upload is refused by its size before it is kept, and decoded in a process of its own with limits of memory and time,
so that a hostile file takes nothing down but that process.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.registry import file_digest, home
from models.core.types import Clip, Song
from models.core.vanishing_files import existing
from tasks.cache.remote_store import RemoteStore, shared
from tasks.runs.progress import stage_watch
from tasks.stages.ingest import once

MAX_BYTES = 1 << 30
_SECONDS, _SECONDS_PER_MIB = 60, 2  # for a song that decodes; one that cannot be decoded is refused long before
_AGAIN_S = 12 * 3600
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Upload:
    """A file that was handed in: the SHA-256 of its bytes, which names it, and where it lies on this machine."""

    sha256: str
    path: Path

    @property
    def title(self) -> str:
        return self.path.stem


def hand_in(file: Path) -> Upload:
    """Keep a file's bytes; raises `BadInput` where it cannot be read or is larger than an upload may be."""
    try:
        size = file.stat().st_size
        if not file.is_file():
            raise BadInput(f"{file} is not a file.")
        if size > MAX_BYTES:
            raise BadInput(f"{file} has {size >> 20} MiB; an upload may have {MAX_BYTES >> 20} MiB.")
        sha256 = file_digest(file)
        upload = _kept(sha256) or _copied(file, sha256)
    except OSError as error:
        raise BadInput(f"{file} cannot be handed in: {error.strerror}.") from None
    os.utime(upload.path)
    if (store := shared()) and not _shared_lately(store, sha256):
        store.push(upload.path, f"uploads/{sha256}/{upload.path.name}")
    return upload


def find_upload(sha256: str) -> Upload:
    """The upload of that digest; raises `BadInput` for everything that is not the digest of one."""
    if not _DIGEST.fullmatch(sha256):
        raise BadInput(f"A song is named by the digest of its upload (64 of 0-9 and a-f), not by {sha256[:80]!r}.")
    upload = _kept(sha256) or _pulled(sha256)
    if not upload:
        raise BadInput(f"No song with the digest {sha256} was handed in.")
    os.utime(upload.path)
    return upload


def old_uploads(days: float) -> list[str]:
    """The digests of uploads that were neither handed in nor used for so many days, here or in the shared store."""
    before, store = time.time() - days * 86400, shared()
    used: dict[str, float] = {}
    for path, stat in existing(_folder().glob("*/*")):
        used[path.parent.name] = max(used.get(path.parent.name, 0.0), stat.st_mtime)
    for one in store.objects("uploads") if store else ():
        digest = one.key.split("/")[1]
        used[digest] = max(used.get(digest, 0.0), one.written_at)
    return sorted(digest for digest, at in used.items() if at < before and _DIGEST.fullmatch(digest))


def remove_upload(sha256: str) -> int:
    """Remove an upload, here and in the shared store; returns its bytes."""
    files, store = (path for path in (_folder() / sha256).glob("*") if path.is_file()), shared()
    there = store.objects(f"uploads/{sha256}") if store else []
    size = max((*(stat.st_size for _, stat in existing(files)), *(one.bytes for one in there)), default=0)
    shutil.rmtree(_folder() / sha256, ignore_errors=True)
    for one in there:
        if store:
            store.remove(one.key)
    return size


def file_name(name: str) -> str:
    """A file name that is one harmless name: no path, no control characters, not hidden, at most 120 characters.

    >>> file_name("../../etc/pass\\nwd")
    'pass wd'
    """
    plain = "".join(c if c.isprintable() else " " for c in name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, suffix = plain.rpartition(".")
    return f"{stem[:110]}{dot}{suffix[:9]}" if stem else plain[:120] or "song"


def _kept(sha256: str) -> Upload | None:
    files = sorted(path for path in (_folder() / sha256).glob("*") if path.is_file() and path.suffix != ".part")
    return Upload(sha256, files[0]) if files else None


def _copied(file: Path, sha256: str) -> Upload:
    target, partial = _folder() / sha256 / file_name(file.name), _partial()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(file, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return Upload(sha256, target)


def _pulled(sha256: str) -> Upload | None:
    """The upload from the shared store; what has other bytes than its name says is removed there, to be pushed anew."""
    store = shared()
    for key in _shared_keys(store, sha256) if store else ():
        target, partial = _folder() / sha256 / file_name(Path(key).name), _partial()
        try:
            if store and store.pull(key, partial):
                if file_digest(partial) == sha256:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(partial, target)
                    return Upload(sha256, target)
                store.remove(key)
        finally:
            partial.unlink(missing_ok=True)
    return None


def _shared_keys(store: RemoteStore, sha256: str) -> list[str]:
    return [key for key in store.keys(f"uploads/{sha256}") if not key.endswith(".part")]


def _shared_lately(store: RemoteStore, sha256: str) -> bool:
    """Whether the upload is in the shared store, and written there lately enough not to be collected soon."""
    return any(time.time() - one.written_at < _AGAIN_S for one in store.objects(f"uploads/{sha256}"))


def _partial() -> Path:
    return _folder() / f"{uuid.uuid4().hex}.part"


def _folder() -> Path:
    return home() / "uploads"


@task(name="ingest", task_run_name="ingest", cache_policy=NO_CACHE, persist_result=False)
def take_in(upload: Upload) -> Song:
    """Decode an upload in a process of its own to 44.1 kHz stereo in the store."""
    return decoded_apart(upload.path, stage_watch("ingest"))


def decoded_apart(path: Path, watch: Watch = UNWATCHED) -> Song:
    """A file decoded into the store by a process with limits; raises `BadInput` with that process's one sentence.

    The process has 60 s and 2 s more a MiB, and 4 GiB of address space. Bytes that were decoded before need none.
    """
    return once(path, lambda: _decoded(path, watch))


def _decoded(path: Path, watch: Watch) -> Song:
    deadline = time.monotonic() + _SECONDS + _SECONDS_PER_MIB * (path.stat().st_size >> 20)
    answer: dict[str, object] = {}
    with _decoder(path) as process:
        assert process.stdout
        for line in process.stdout:
            answer = json.loads(line)
            watch.at(float(str(answer.get("at", 0.0))))
            if time.monotonic() > deadline:
                break
    if "clip" in answer and isinstance(answer["clip"], dict):
        return Song(str(answer["title"]), Clip(**answer["clip"]))
    if answer.get("error"):
        raise RuntimeError(f"decoding {path.name} failed: {answer['error']}")
    raise BadInput(str(answer.get("refused") or f"{path.name} needs more time or memory to decode than a song does."))


@contextmanager
def _decoder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """The decoding process; it and what it started are gone when the block is left, or when its time is up."""
    limit = _SECONDS + _SECONDS_PER_MIB * (path.stat().st_size >> 20)
    command = ["timeout", "--signal=KILL", str(limit), sys.executable, "-m", "tasks.runs.decoding_process", str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
