"""pydub in a process of its own, for it wants all samples at once, leaves scratch files where it fails, does not stop.

Here its samples are a map of a file (10 MB a minute that the kernel may drop), its scratch files lie in a folder that
is removed, and the process group is killed when the caller wants no more.
"""

import errno
import json
import mmap
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from models.audio.ffmpeg import program
from models.core.progress import Watch
from models.core.vanishing_files import bytes_of

BITRATE = 320_000
"""Bits a second, constant."""

_MEMORY_BYTES = 6 << 30  # of address space, of which the map takes 635 MB an hour; a picture may not take the rest
_POLL_S = 0.1
_FULL_BYTES = 1 << 20


@dataclass(frozen=True)
class Mp3Order:
    """What is to be encoded: a file of 16-bit interleaved samples, to which file, with which picture and tags."""

    samples: str
    mp3: str
    cover: str | None
    sample_rate: int
    channels: int
    tags: dict[str, str]


def encoded(order: Mp3Order, scratch: Path, watch: Watch) -> None:
    """Encode, with `scratch` for temporary files; raises `OSError` where the disk does not take it."""
    samples_bytes = Path(order.samples).stat().st_size
    mp3_bytes = samples_bytes * BITRATE / (order.sample_rate * order.channels * 16)
    before, done = bytes_of(scratch.iterdir()) + samples_bytes, 0.0  # pydub writes the samples once more, as WAV
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    log = scratch / "log"
    with open(log, "wb") as messages:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "models.audio.mp3_process", json.dumps(asdict(order))],
            stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None:
                done = max(done, (bytes_of(scratch.iterdir()) - before) / mp3_bytes)
                watch.at(done)
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode:
        said = log.read_text(errors="replace")
        for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO):
            if os.strerror(number) in said:
                raise OSError(number, os.strerror(number))
        if shutil.disk_usage(scratch).free < _FULL_BYTES:  # then not even the log could be written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise RuntimeError(f"the MP3 encoder failed: {said[-2000:]}")
    watch.at(1.0)


def _encode(order: Mp3Order) -> None:
    """In the process of its own: map the samples and let pydub export them."""
    from pydub import AudioSegment

    AudioSegment.converter = program()
    parameters = ["-loglevel", "error", "-write_id3v1", "1"]
    parameters += ["-c:v", "copy", "-disposition:v:0", "attached_pic"] if order.cover else []
    with open(order.samples, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as samples:
        song = AudioSegment(data=samples, sample_width=2, frame_rate=order.sample_rate, channels=order.channels)
        song.export(
            order.mp3,
            format="mp3",
            bitrate=str(BITRATE),
            parameters=parameters,
            tags=order.tags,
            id3v2_version="3",
            cover=order.cover,
        )


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _encode(Mp3Order(**json.loads(sys.argv[1])))
