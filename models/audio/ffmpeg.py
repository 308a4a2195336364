"""Running ffmpeg as a separate program on files that may be hostile.

The file is handed over as its standard input and no other protocol is allowed, so whatever the file says, nothing
else is read; only the one demuxer and the decoders that fit the recognised container may run; memory, processor time
and what it may log are limited by the kernel. The binary comes with imageio-ffmpeg (built with GPL parts, so it is
run, never linked).
"""

import os
import resource
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import imageio_ffmpeg

from models.audio.containers import Container, Unfit, recognised
from models.core.errors import BadInput

_MEMORY_BYTES = 2 << 30
_LOG_BYTES = 1 << 20
_CPU_S, _CPU_S_PER_MIB, _CPU_S_PER_HOUR, _MOST_HOURS = 10, 2, 120, 2


def program() -> str:
    """The ffmpeg binary's path."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@dataclass(frozen=True)
class Opened:
    """A regular file that was recognised as audio: `size` in bytes."""

    path: Path
    file: BinaryIO
    size: int
    container: Container

    def bytes_read(self) -> int:
        """How far the ffmpeg that reads this file has come: the two share one place in it."""
        return os.lseek(self.file.fileno(), 0, os.SEEK_CUR)


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open an audio file for reading; raises `BadInput` where it is missing, unreadable, no audio or not whole."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist.") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:
        raise BadInput(f"{str(path)!r} is not a file name.") from None
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise BadInput(f"{path} is a folder; give an audio file.")
        if not stat.S_ISREG(found.st_mode):
            raise BadInput(f"{path} is not a regular file.")
        with open(descriptor, "rb", closefd=False) as file:
            try:
                container = recognised(file, found.st_size)
            except Unfit as reason:
                raise BadInput(f"{path} {reason}.") from None
            except OSError as error:
                raise _unreadable(path, error) from None
            yield Opened(path, file, found.st_size, container)
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"{path} cannot be read: {os.strerror(error.errno or 0)}.")


@dataclass
class Running:
    """An ffmpeg at work: its output, and its log."""

    process: subprocess.Popen[bytes]
    log: BinaryIO

    @property
    def output(self) -> BinaryIO:
        assert self.process.stdout is not None
        return self.process.stdout  # type: ignore[return-value]

    def failure(self) -> str | None:
        """Once its output has ended: why it failed, in its own last words, or None where it did not."""
        code = self.process.wait()
        if code == 0:
            return None
        if code < 0:
            return "the decoder crashed, or needed more time or memory than any sound file does"
        self.log.seek(0)
        lines = self.log.read(_LOG_BYTES).decode("utf-8", "replace").strip().splitlines()
        telling = [line for line in lines if "not on whitelist" not in line] or ["it cannot be read as what it seems"]
        words = telling[0].split("] ")[-1].strip()
        return f"the decoder says: {words[:200].rstrip('.! ')}"


@contextmanager
def reading(source: Opened, input_options: list[str], output_options: list[str]) -> Iterator[Running]:
    """Run ffmpeg from an opened file to a pipe; it is gone when the block is left."""
    kind = source.container
    source.file.seek(0)
    os.lseek(source.file.fileno(), 0, os.SEEK_SET)
    command = [program(), "-nostdin", "-hide_banner", "-loglevel", "repeat+error", "-protocol_whitelist", "fd,pipe"]
    command += ["-format_whitelist", kind.demuxer, "-threads", "1", *input_options, "-f", kind.demuxer, "-i", "fd:"]
    command += [*output_options, "pipe:1"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=source.file, stdout=subprocess.PIPE, stderr=log, env={})
        try:
            hours = min((kind.seconds or 0.0) / 3600, _MOST_HOURS)
            cpu_s = _CPU_S + _CPU_S_PER_MIB * (source.size >> 20) + round(_CPU_S_PER_HOUR * hours)
            for limit, value in (
                (resource.RLIMIT_AS, _MEMORY_BYTES),
                (resource.RLIMIT_CPU, cpu_s),
                (resource.RLIMIT_FSIZE, _LOG_BYTES),
                (resource.RLIMIT_CORE, 0),
            ):
                resource.prlimit(process.pid, limit, (value, value))
            yield Running(process, log)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
