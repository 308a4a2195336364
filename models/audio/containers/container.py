"""An identified container, the error for an unusable file, and bounded reads."""

from dataclasses import dataclass
from typing import BinaryIO

MAX_CHUNKS = 10_000
PCM = (
    "pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,"
    "pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_alaw,pcm_mulaw"
)
"""ffmpeg's decoders of uncompressed samples."""


@dataclass(frozen=True)
class Container:
    """An identified audio file.

    ffmpeg may use only `demuxer` and `decoders`. `seconds` is the length declared by the header, or None; the audio may
    be shorter by `slack_s`. In a `strict` container every frame has a checksum, and one bad frame makes the file
    unusable.
    """

    name: str
    demuxer: str
    decoders: str
    seconds: float | None
    slack_s: float
    strict: bool


class UnusableFile(Exception):
    """Why a file cannot be used; the message continues a sentence that begins with the file's name."""


def read_exactly(file: BinaryIO, position: int, count: int) -> bytes:
    """The `count` bytes at `position`; raises `EOFError` if there are fewer."""
    file.seek(position)
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data
