"""What recognising a file found, or why it cannot be used."""

from dataclasses import dataclass
from typing import BinaryIO

MOST_CHUNKS = 10_000
PCM = (
    "pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,"
    "pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_alaw,pcm_mulaw"
)
"""ffmpeg's decoders for samples that are not compressed."""


@dataclass(frozen=True)
class Container:
    """An audio file that was recognised.

    Only `demuxer` of ffmpeg's may open it, and only its `decoders` may run. `seconds` is the length the header
    promises (None: it promises none), and the audio may be shorter by `slack_s`. In a `strict` one every
    frame has a checksum, and a single faulty frame condemns the file.
    """

    name: str
    demuxer: str
    decoders: str
    seconds: float | None
    slack_s: float
    strict: bool


class Unfit(Exception):
    """Why a file cannot be used, as the rest of a sentence that begins with its name."""


def exactly(file: BinaryIO, position: int, count: int) -> bytes:
    """The `count` bytes at `position`; raises `EOFError` where there are fewer."""
    file.seek(position)
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data
