"""The MP3 encoder, pydub, in a subprocess: it takes all samples at once, leaves scratch files and cannot be cancelled.

Its samples are a memory map of a file (10 MB a minute that the kernel may drop), its scratch files are in a folder that
is removed, and its process group is killed on cancellation.
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

from models.audio.ffmpeg import ffmpeg_binary
from models.core.progress import Watch
from models.core.vanishing_files import total_bytes

BITRATE = 320_000
"""Bits a second, constant."""

_MEMORY_BYTES = (
    6 << 30
)  # of address space, of which the memory map takes 635 MB an hour; a large cover may not take the rest
_POLL_S = 0.1
_FULL_BYTES = 1 << 20


@dataclass(frozen=True)
class Mp3Job:
    """A file of 16-bit interleaved samples, the MP3 to write, its cover and tags."""

    samples: str
    mp3: str
    cover: str | None
    sample_rate: int
    channels: int
    tags: dict[str, str]


def encode_mp3(job: Mp3Job, scratch: Path, watch: Watch) -> None:
    """Encode, with `scratch` for temporary files; raises `OSError` for a full or failing disk."""
    samples_bytes = Path(job.samples).stat().st_size
    mp3_bytes = samples_bytes * BITRATE / (job.sample_rate * job.channels * 16)
    before, done = total_bytes(scratch.iterdir()) + samples_bytes, 0.0  # pydub writes the samples once more, as WAV
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    log = scratch / "log"
    with open(log, "wb") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "models.audio.mp3_process", json.dumps(asdict(job))],
            stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None:
                done = max(done, (total_bytes(scratch.iterdir()) - before) / mp3_bytes)
                watch.at(done)
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode:
        messages = log.read_text(errors="replace")
        for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO):
            if os.strerror(number) in messages:
                raise OSError(number, os.strerror(number))
        if shutil.disk_usage(scratch).free < _FULL_BYTES:  # then not even the log could be written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise RuntimeError(f"the MP3 encoder failed: {messages[-2000:]}")
    watch.at(1.0)


def _encode(job: Mp3Job) -> None:
    """In the subprocess: map the samples and let pydub export them."""
    from pydub import AudioSegment

    AudioSegment.converter = ffmpeg_binary()
    parameters = ["-loglevel", "error", "-write_id3v1", "1"]
    parameters += ["-c:v", "copy", "-disposition:v:0", "attached_pic"] if job.cover else []
    with open(job.samples, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as samples:
        song = AudioSegment(data=samples, sample_width=2, frame_rate=job.sample_rate, channels=job.channels)
        song.export(
            job.mp3,
            format="mp3",
            bitrate=str(BITRATE),
            parameters=parameters,
            tags=job.tags,
            id3v2_version="3",
            cover=job.cover,
        )


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _encode(Mp3Job(**json.loads(sys.argv[1])))
