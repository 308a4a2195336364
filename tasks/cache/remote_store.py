"""One store for several machines: an fsspec URL (s3://bucket/prefix, file:///shared/folder) in `$REMIX_STORE`.

Each machine works on its own folder. What it finishes is put under the URL at once (one put an object), and what it
lacks is taken from there; every clip is checked against its name after the way. A store that does not answer is tried
four times, then said to be unreachable.
"""

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

R = TypeVar("R")

_PAUSES_S = (1.0, 3.0, 9.0)


class StoreUnreachable(Exception):
    """The shared store does not answer; the message is one sentence, and the same may well work later."""


@dataclass(frozen=True)
class Object:
    """One object: its key, its size, and when it was last written, in seconds since the epoch by the store's clock."""

    key: str
    bytes: int
    written_at: float


@dataclass(frozen=True)
class RemoteStore:
    """Objects under one URL; keys are relative, with slashes."""

    files: Any
    root: str
    url: str

    def push(self, path: Path, key: str) -> None:
        """Put a file there, whole or not at all."""
        self._tried(lambda: self._put(path, key))

    def pull(self, key: str, path: Path) -> bool:
        """Fetch an object into a file, whole or not at all; False where there is none."""

        def fetch() -> bool:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{uuid.uuid4().hex}.part")
            try:
                self.files.get_file(f"{self.root}/{key}", str(partial))
                os.replace(partial, path)
                return True
            except FileNotFoundError:
                return False
            finally:
                partial.unlink(missing_ok=True)

        return self._tried(fetch)

    def has(self, key: str) -> bool:
        """Whether there is such an object."""
        return self._tried(lambda: bool(self.files.exists(f"{self.root}/{key}")))

    def keys(self, prefix: str) -> list[str]:
        """The keys directly below a prefix, as they are now."""

        def listed() -> list[str]:
            self.files.invalidate_cache()
            try:
                names = self.files.ls(f"{self.root}/{prefix}", detail=False)
            except FileNotFoundError:
                return []
            return [str(name)[len(self.root) + 1 :] for name in names]

        return self._tried(listed)

    def objects(self, prefix: str) -> list[Object]:
        """All objects below a prefix at any depth, as they are now, but none that is still being written."""

        def listed() -> list[Object]:
            self.files.invalidate_cache()
            listing = self.files.find(f"{self.root}/{prefix}", detail=True)
            return [
                Object(str(name)[len(self.root) + 1 :], int(about["size"] or 0), _written_at(about))
                for name, about in listing.items()
                if not str(name).endswith(".part")
            ]

        return self._tried(listed)

    def read(self, key: str) -> bytes | None:
        """An object's bytes, or None where there is none."""

        def content() -> bytes | None:
            try:
                return bytes(self.files.cat_file(f"{self.root}/{key}"))
            except FileNotFoundError:
                return None

        return self._tried(content)

    def write(self, key: str, content: bytes) -> None:
        """Write a small object, over one that is there."""
        self._tried(lambda: self._written(key, content, "overwrite"))

    def create(self, key: str, content: bytes) -> bool:
        """Write a small object unless there is one; of several at once exactly one gets True."""
        try:
            return self._tried(lambda: self._written(key, content, "create"))
        except FileExistsError:
            return False

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""

        def gone() -> None:
            try:
                self.files.rm_file(f"{self.root}/{key}")
            except FileNotFoundError:
                return

        self._tried(gone)

    def _put(self, path: Path, key: str) -> None:
        target = f"{self.root}/{key}"
        if not self._is_folder:
            self.files.put_file(str(path), target)
            return
        partial = Path(f"{target}.{uuid.uuid4().hex}.part")
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.files.put_file(str(path), str(partial))
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def _written(self, key: str, content: bytes, mode: str) -> bool:
        target = f"{self.root}/{key}"
        if not self._is_folder:
            self.files.pipe_file(target, content, mode=mode)
            return True
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        partial = Path(f"{target}.{uuid.uuid4().hex}.part")
        partial.write_bytes(content)
        try:
            if mode == "create":
                os.link(partial, target)  # fails where the name is taken, on NFS too
            else:
                os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return True

    @property
    def _is_folder(self) -> bool:
        return self.url.startswith("file:")

    def _tried(self, work: Callable[[], R]) -> R:
        for pause in (*_PAUSES_S, None):
            try:
                return work()
            except FileExistsError:
                raise
            except Exception as error:  # each file system has errors of its own for not being reached
                if pause is None:
                    raise StoreUnreachable(
                        f"The shared store {self.url} cannot be reached: {type(error).__name__}: {error}."
                    ) from error
                time.sleep(pause)
        raise AssertionError("unreachable")


def _written_at(about: dict[str, Any]) -> float:
    """When an object was last written; each file system has its own word for that."""
    words = ("mtime", "LastModified", "last_modified", "updated", "created")
    when = next((about[word] for word in words if about.get(word)), time.time())
    return when.timestamp() if isinstance(when, datetime) else float(when)


def shared() -> RemoteStore | None:
    """The store that machines share, or None where each has its own."""
    url = os.environ.get("REMIX_STORE", "")
    return _opened(url, os.getpid()) if url else None


@cache
def _opened(url: str, process: int) -> RemoteStore:
    import fsspec

    if os.environ.get("AWS_ENDPOINT_URL") == "":  # compose hands on what is not set as an empty word
        del os.environ["AWS_ENDPOINT_URL"]
    files, root = fsspec.core.url_to_fs(url, **({"skip_instance_cache": True} if process else {}))
    return RemoteStore(files, str(root).rstrip("/"), url)
