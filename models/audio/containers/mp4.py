"""The boxes of an MP4 (M4A) file. Source: ISO/IEC 14496-12."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from models.audio.containers.container import MAX_CHUNKS, PCM, Container, UnusableFile, read_exactly

_SLACK_S = 0.4  # priming and padding of AAC at 8 kHz


def mp4(file: BinaryIO, size: int) -> Container:
    """An MP4 file with an audio track; raises `UnusableFile`."""
    boxes = list(_boxes(file, 0, size))
    moov = next(((offset, end) for name, offset, end in boxes if name == b"moov"), None)
    if moov is None:
        raise UnusableFile("is truncated or not audio: it is an MP4 file without an index")
    fragmented = any(name == b"moof" for name, _, _ in boxes)
    scale = 0
    for name, offset, end in _boxes(file, *moov):
        if name == b"mvhd":
            scale, _ = _scale_and_length(file, offset)
        elif name == b"trak":
            seconds = _sound_seconds(file, offset, end, scale)
            if seconds is not None:
                declared = None if fragmented or not seconds else seconds
                return Container("M4A", "mov", "aac,alac,mp3float," + PCM, declared, _SLACK_S, False)
    raise UnusableFile("holds no audio track")


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """The (name, offset of its content, end) of each box between two offsets."""
    position = start
    for _ in range(MAX_CHUNKS):
        if position >= stop:
            return
        length, name = struct.unpack(">I4s", read_exactly(file, position, 8))
        header = 8
        if length == 1:
            length, header = struct.unpack(">Q", read_exactly(file, position + 8, 8))[0], 16
        elif length == 0:
            length = stop - position
        if length < header:
            raise UnusableFile("is damaged: its MP4 header contradicts itself")
        if position + length > stop:
            raise UnusableFile("is truncated: an MP4 box promises more bytes than are there")
        yield name, position + header, position + length
        position += length
    raise UnusableFile("is damaged: its header has no end")


def _scale_and_length(file: BinaryIO, offset: int) -> tuple[int, int]:
    """Time scale and duration in ticks of an mvhd or mdhd box."""
    if read_exactly(file, offset, 1) == b"\x01":
        scale, length = struct.unpack(">IQ", read_exactly(file, offset + 20, 12))
    else:
        scale, length = struct.unpack(">II", read_exactly(file, offset + 12, 8))
    return int(scale), int(length)


def _sound_seconds(file: BinaryIO, start: int, stop: int, movie_scale: int) -> float | None:
    """A track's duration after its edit list, in seconds; None if it is not audio."""
    boxes = {name: (offset, end) for name, offset, end in _boxes(file, start, stop)}
    if b"mdia" not in boxes:
        return None
    media = {name: offset for name, offset, _ in _boxes(file, *boxes[b"mdia"])}
    if b"hdlr" not in media or b"mdhd" not in media or read_exactly(file, media[b"hdlr"] + 8, 4) != b"soun":
        return None
    scale, length = _scale_and_length(file, media[b"mdhd"])
    seconds = length / scale if scale else 0.0
    if b"tkhd" in boxes and movie_scale:
        offset = boxes[b"tkhd"][0]
        long = read_exactly(file, offset, 1) == b"\x01"
        edited = int.from_bytes(read_exactly(file, offset + (28 if long else 20), 8 if long else 4), "big")
        seconds = min(seconds, edited / movie_scale) if edited else seconds
    return seconds
