"""The store: audio by content, beside the results that name it, under one root.

A clip is kept as float32 RF64 at `blobs/<first two>/<sha256>.wav`, where the SHA-256 is over rate, channels and the
interleaved little-endian samples, so equal sound is one clip whatever file it came from. Publishing is write, fsync,
rename: a reader sees a whole clip or none.
"""

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from models.core.errors import BadInput
from models.core.registry import home
from models.core.types import Clip, Samples
from tasks.cache.remote_store import shared

BLOCK_FRAMES = 1 << 18
_FULL_BYTES = 1 << 20


class Damaged(Exception):
    """A clip's bytes are missing or are not what its name says."""


@dataclass(frozen=True)
class Stored:
    """A stored clip as a `models.core.types.Source`: frames are read from disk when asked for."""

    clip: Clip
    path: Path

    @property
    def sample_rate(self) -> int:
        return self.clip.sample_rate

    @property
    def channels(self) -> int:
        return self.clip.channels

    @property
    def frames(self) -> int:
        return self.clip.frames

    @cached_property
    def _samples(self) -> tuple[BinaryIO, int]:
        """The open file and where its samples start. Not a map: what a map has touched counts as this process's."""
        file = open(self.path, "rb")  # noqa: SIM115 (closed with this object)
        return file, _data_offset(file.read(4096))

    def read(self, start: int, stop: int) -> Samples:
        """Frames [start, stop), zero-padded outside. Shape: (channels, stop - start)."""
        block = np.zeros((self.channels, stop - start), np.float32)
        low, high = max(start, 0), min(stop, self.frames)
        if high > low:
            block[:, low - start : high - start] = self.interleaved(low, high).T
        return block

    def interleaved(self, low: int, high: int) -> Samples:
        """Frames [low, high) as they lie in the file; raises ValueError if it ends before. Shape: (n, channels)."""
        file, offset = self._samples
        width = 4 * self.channels
        content = os.pread(file.fileno(), (high - low) * width, offset + low * width)
        return np.frombuffer(content, "<f4").reshape(high - low, self.channels)


class Store:
    """Clips under one root folder, by default the project's home."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or home()

    def path(self, clip: Clip) -> Path:
        return self.root / "blobs" / clip.sha256[:2] / f"{clip.sha256}.wav"

    def key(self, clip: Clip) -> str:
        """The clip's name in the store that machines share."""
        return f"blobs/{clip.sha256[:2]}/{clip.sha256}.wav"

    def source(self, clip: Clip) -> Stored:
        """The clip as something to read from; raises `Damaged` if its file is missing."""
        path = self.path(clip)
        if not path.is_file():
            raise Damaged(f"clip {clip.sha256} is not in the store")
        return Stored(clip, path)

    def put(self, blocks: Iterable[Samples], sample_rate: int) -> Clip:
        """Keep audio that comes as consecutive blocks, shape (channels, n) each; returns its clip.

        Raises ValueError for samples that are not finite or when there is no block, and `BadInput` on a full disk.
        """
        return self.put_together((block[None] for block in blocks), sample_rate)[0]

    def put_together(self, blocks: Iterable[Samples], sample_rate: int) -> tuple[Clip, ...]:
        """Keep several pieces of audio that come side by side, shape (pieces, channels, n) each; returns their clips.

        Raises what `put` raises; when it does, nothing is kept.
        """
        writers: list[_Writer] = []
        try:
            for block in blocks:
                writers = writers or [_Writer(self.root / "tmp", sample_rate, block.shape[1]) for _ in block]
                for writer, piece in zip(writers, block, strict=True):
                    writer.write(piece)
            if not writers:
                raise ValueError("there is no audio to keep")
            return tuple(self._publish(writer) for writer in writers)
        except (OSError, soundfile.SoundFileError) as error:
            raise BadInput(f"The store {self.root} cannot be written: {_reason(error, self.root)}.") from error
        finally:
            for writer in writers:
                writer.discard()

    def _publish(self, writer: "_Writer") -> Clip:
        clip = writer.finish()
        target = self.path(clip)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(writer.path, target)
        _sync_folder(target.parent)
        if store := shared():
            store.push(target, self.key(clip))
        return clip

    def check(self, clip: Clip) -> None:
        """Raise `Damaged` unless the clip's file holds exactly the samples its name promises."""
        path = self.path(clip)
        if not path.exists() and (store := shared()):
            store.pull(self.key(clip), path)
        try:
            stat = path.stat()
            token = (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)
            if token in _checked:
                return
            if _digest_of(Stored(clip, path)) != clip.sha256:
                raise Damaged(f"clip {clip.sha256} is altered")
            _checked.add(token)
        except (OSError, ValueError) as error:
            raise Damaged(f"clip {clip.sha256} cannot be read: {error}") from error


_checked: set[tuple[str, int, int, int]] = set()
"""Files found whole by this process: one look a process is enough, since nothing here ever writes into a kept file."""


class _Writer:
    """One clip on its way into the store: a temporary file and the digest of what was written so far."""

    def __init__(self, folder: Path, sample_rate: int, channels: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{uuid.uuid4().hex}.wav"
        self._rate, self._channels, self._frames = sample_rate, channels, 0
        self._digest = _new_digest(sample_rate, channels)
        self._file = soundfile.SoundFile(self.path, "w", sample_rate, channels, "FLOAT", format="RF64")

    def write(self, block: Samples) -> None:
        interleaved = np.ascontiguousarray(block.T, "<f4")
        if not np.isfinite(interleaved).all():
            raise ValueError("audio with samples that are not finite cannot be kept")
        self._digest.update(interleaved.data)
        self._file.write(interleaved)
        self._frames += len(interleaved)

    def finish(self) -> Clip:
        self._file.close()
        with open(self.path, "rb") as written:
            os.fsync(written.fileno())
        return Clip(self._digest.hexdigest(), self._rate, self._channels, self._frames)

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


def _digest_of(stored: Stored) -> str:
    digest = _new_digest(stored.sample_rate, stored.channels)
    for start in range(0, stored.frames, BLOCK_FRAMES):
        digest.update(stored.interleaved(start, min(start + BLOCK_FRAMES, stored.frames)).data)
    return digest.hexdigest()


def _new_digest(sample_rate: int, channels: int) -> "hashlib._Hash":
    return hashlib.sha256(f"float32 {sample_rate} Hz {channels} channels\n".encode())


def _data_offset(head: bytes) -> int:
    """Where the samples start in a WAV or RF64 file, given its first bytes; raises ValueError if they do not."""
    chunk = head.find(b"data")
    if head[:4] not in (b"RIFF", b"RF64") or chunk < 0:
        raise ValueError("not a WAV file")
    return chunk + 8


def _reason(error: Exception, root: Path) -> str:
    """Why writing failed; libsndfile does not pass on the kernel's word, so a full disk is looked for."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    full = shutil.disk_usage(root).free < _FULL_BYTES
    return os.strerror(errno.ENOSPC) if full else str(error).rstrip(".")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
