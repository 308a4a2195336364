"""ffmpeg as a restricted subprocess, for files that may be hostile.

The file is its standard input and no other protocol is allowed, so nothing else is read; only the demuxer and the
decoders of the identified container may run; memory, processor time and log size are limited by the kernel. The binary
comes with imageio-ffmpeg (built with GPL parts, so it is run, never linked).
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

from models.audio.containers import Container, UnusableFile, identify_container
from models.core.errors import BadInput

_MEMORY_BYTES = 2 << 30
_LOG_BYTES = 1 << 20
_CPU_S, _CPU_S_PER_MIB, _CPU_S_PER_HOUR, _MAX_HOURS = 10, 2, 120, 2


def ffmpeg_binary() -> str:
    """The ffmpeg binary's path."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@dataclass(frozen=True)
class AudioFile:
    """An open regular file of an identified container; `size` in bytes."""

    path: Path
    file: BinaryIO
    size: int
    container: Container

    def bytes_read(self) -> int:
        """How far ffmpeg has read this file: both share one file offset."""
        return os.lseek(self.file.fileno(), 0, os.SEEK_CUR)


@contextmanager
def open_audio(path: Path) -> Iterator[AudioFile]:
    """Open an audio file for reading; raises `BadInput` for one that is missing, unreadable, not audio or truncated."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist.") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:
        raise BadInput(f"{str(path)!r} is not a file name.") from None
    try:
        metadata = os.fstat(descriptor)
        if stat.S_ISDIR(metadata.st_mode):
            raise BadInput(f"{path} is a folder; give an audio file.")
        if not stat.S_ISREG(metadata.st_mode):
            raise BadInput(f"{path} is not a regular file.")
        with open(descriptor, "rb", closefd=False) as file:
            try:
                container = identify_container(file, metadata.st_size)
            except UnusableFile as reason:
                raise BadInput(f"{path} {reason}.") from None
            except OSError as error:
                raise _unreadable(path, error) from None
            yield AudioFile(path, file, metadata.st_size, container)
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"{path} cannot be read: {os.strerror(error.errno or 0)}.")


@dataclass
class FfmpegProcess:
    """A running ffmpeg: its output and its log."""

    process: subprocess.Popen[bytes]
    log: BinaryIO

    @property
    def output(self) -> BinaryIO:
        assert self.process.stdout is not None
        return self.process.stdout  # type: ignore[return-value]

    def failure(self) -> str | None:
        """After the end of its output: why it failed, from its log, or None for success."""
        code = self.process.wait()
        if code == 0:
            return None
        if code < 0:
            return "the decoder crashed, or needed more time or memory than any sound file does"
        self.log.seek(0)
        lines = self.log.read(_LOG_BYTES).decode("utf-8", "replace").strip().splitlines()
        relevant = [line for line in lines if "not on whitelist" not in line] or ["it cannot be read as what it seems"]
        words = relevant[0].split("] ")[-1].strip()
        return f"the decoder says: {words[:200].rstrip('.! ')}"


@contextmanager
def run_ffmpeg(source: AudioFile, input_options: list[str], output_options: list[str]) -> Iterator[FfmpegProcess]:
    """Run ffmpeg from an open file to a pipe; it is killed when the block ends."""
    kind = source.container
    source.file.seek(0)
    os.lseek(source.file.fileno(), 0, os.SEEK_SET)
    command = [
        ffmpeg_binary(),
        "-nostdin",
        "-hide_banner",
        "-loglevel",
        "repeat+error",
        "-protocol_whitelist",
        "fd,pipe",
    ]
    command += ["-format_whitelist", kind.demuxer, "-threads", "1", *input_options, "-f", kind.demuxer, "-i", "fd:"]
    command += [*output_options, "pipe:1"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=source.file, stdout=subprocess.PIPE, stderr=log, env={})
        try:
            hours = min((kind.seconds or 0.0) / 3600, _MAX_HOURS)
            cpu_s = _CPU_S + _CPU_S_PER_MIB * (source.size >> 20) + round(_CPU_S_PER_HOUR * hours)
            for limit, value in (
                (resource.RLIMIT_AS, _MEMORY_BYTES),
                (resource.RLIMIT_CPU, cpu_s),
                (resource.RLIMIT_FSIZE, _LOG_BYTES),
                (resource.RLIMIT_CORE, 0),
            ):
                resource.prlimit(process.pid, limit, (value, value))
            yield FfmpegProcess(process, log)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
