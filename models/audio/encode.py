"""Encoding: 24-bit WAV and FLAC, and MP3 with tags and cover.

Files are written atomically: to a temporary file beside the target, fsynced and renamed. Samples are rounded to 24 bit
without dither: float32 has a mantissa of 24 bits itself, so rounding adds at most half of 2^-23 (-144 dBFS, under the
noise of any converter), silence stays silence, and the file decodes to the same samples. The MP3 encoder gets 16 bit;
its quantization noise of -98 dBFS is far below what the encoder discards.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from models.audio.mp3_process import Mp3Job, encode_mp3
from models.audio.tags import Tags
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source

_BLOCK = 1 << 16
_MAX_WAV_BYTES = (1 << 32) - (1 << 16)


def write_wav(source: Source, path: Path, watch: Watch = UNWATCHED, comment: str = "") -> None:
    """Write 24-bit PCM WAV (RF64 from 4 GB on), with a comment in its tags; equal samples give equal bytes.

    Samples over full scale are clipped. Raises `BadInput`, and leaves no file, if it cannot be written.
    """
    large = source.frames * source.channels * 3 > _MAX_WAV_BYTES
    _write_24_bit(source, path, "RF64" if large else "WAV", watch, comment)


def write_flac(source: Source, path: Path, watch: Watch = UNWATCHED, comment: str = "") -> None:
    """Write 24-bit FLAC; otherwise like `write_wav`."""
    _write_24_bit(source, path, "FLAC", watch, comment)


def write_mp3(source: Source, path: Path, tags: Tags, comment: str = "", watch: Watch = UNWATCHED) -> None:
    """Write MP3 of 320 kbit/s with the song's tags and cover, its title marked " (remix)", `comment` before its own.

    Memory does not grow with length: pydub, which encodes, runs in a subprocess and gets the samples as a memory map of
    a scratch file. Raises `BadInput` as `write_wav` does.
    """
    with _atomic_file(path) as part, _scratch_folder(path) as folder:
        with open(folder / "samples", "wb") as file:
            for block in _blocks(source, watch.span(0.0, 0.3)):
                file.write(_quantize(block, 16).T.astype("<i2").tobytes())
        cover = None
        if tags.cover:
            cover = folder / ("cover.png" if tags.cover.startswith(b"\x89PNG") else "cover.jpg")
            cover.write_bytes(tags.cover)
        job = Mp3Job(
            samples=str(folder / "samples"),
            mp3=str(part),
            cover=str(cover) if cover else None,
            sample_rate=source.sample_rate,
            channels=source.channels,
            tags=_remix_tags(tags, comment),
        )
        encode_mp3(job, folder, watch.span(0.3, 1.0))


def _remix_tags(tags: Tags, comment: str) -> dict[str, str]:
    """The tags of a remix.

    >>> _remix_tags(Tags("Song", "Me", (("comment", "live"), ("album", "A"))), "AI-converted voice: lj")
    {'title': 'Song (remix)', 'artist': 'Me', 'comment': 'AI-converted voice: lj / live', 'album': 'A'}
    """
    fields = dict(tags.fields)
    comments = " / ".join(text for text in (comment, fields.pop("comment", "")) if text)
    marked = {"title": f"{tags.title} (remix)", "artist": tags.artist, "comment": comments, **fields}
    return {name: text for name, text in marked.items() if text}


def _write_24_bit(source: Source, path: Path, kind: str, watch: Watch, comment: str) -> None:
    with _atomic_file(path) as part, open(part, "r+b", buffering=0) as raw:
        file = _ErrorRecordingFile(raw)
        try:
            with soundfile.SoundFile(file, "w", source.sample_rate, source.channels, "PCM_24", format=kind) as sound:
                if comment:
                    sound.comment = comment
                for block in _blocks(source, watch):
                    sound.write((_quantize(block, 24) << 8).T)
        finally:
            if file.error:
                raise file.error


def _blocks(source: Source, watch: Watch) -> Iterator[Samples]:
    """The source in blocks of shape (channels, n); its read errors become `RuntimeError`, not write errors."""
    for start in range(0, source.frames, _BLOCK):
        watch.at(start / source.frames)
        try:
            yield source.read(start, min(start + _BLOCK, source.frames))
        except OSError as error:
            raise RuntimeError("the samples to be written cannot be read") from error
    watch.at(1.0)


def _quantize(block: Samples, bits: int) -> NDArray[np.int32]:
    """Samples rounded to integers of `bits` bits and clipped at full scale. Shape: unchanged."""
    if not np.isfinite(block).all():
        raise ValueError("samples that are not numbers cannot be written")
    full = float(1 << (bits - 1))
    rounded: Samples = np.clip(np.rint(block * np.float32(full)), -full, full - 1)
    return rounded.astype(np.int32)


class _ErrorRecordingFile:
    """A file for libsndfile, whose callbacks cannot raise: the first error is kept in `error`."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None
        self.seek, self.tell, self.read = file.seek, file.tell, file.read

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        try:
            while left:
                left = left[self.file.write(left) :]
        except OSError as error:
            self.error = self.error or error
        return len(data) - len(left)


@contextmanager
def _atomic_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that replaces it when the block ends, and is removed if the block fails."""
    part = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        try:
            yield part
            _sync(part)
            os.replace(part, path)
            _sync(path.parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {os.strerror(error.errno or 0)}.") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, removed when the block ends."""
    folder = path.parent / f".{secrets.token_hex(8)}.scratch"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file atomically; raises `BadInput` if it cannot be written."""
    with _atomic_file(path) as part:
        part.write_bytes(content)
