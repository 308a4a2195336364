"""The chunks of WAV and AIFF files. Sources: RIFF/WAVE, EBU Tech 3306 (RF64), Apple's AIFF-C (1991)."""

import math
import struct
from collections.abc import Iterator
from typing import BinaryIO

from models.audio.containers.container import MAX_CHUNKS, PCM, Container, UnusableFile, read_exactly

_UNKNOWN_LENGTHS = (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000)  # left in the header by writers to a pipe
_WAV_TAGS = (1, 3, 6, 7, 0xFFFE)  # integer, float, A-law, µ-law, extensible
_AIFF_PCM = (b"NONE", b"sowt", b"twos", b"fl32", b"FL32", b"fl64", b"FL64", b"in24", b"in32")
_AIFF_LOG = (b"alaw", b"ulaw", b"ALAW", b"ULAW")


def wav(file: BinaryIO, size: int) -> Container:
    """A WAV file (RIFF or RF64); raises `UnusableFile`."""
    align = rate = long_length = 0
    for name, offset, length in _chunks(file, size, "<"):
        if name == b"ds64":
            long_length = struct.unpack("<8xQ", read_exactly(file, offset, 16))[0]
        elif name == b"fmt ":
            tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", read_exactly(file, offset, 16))
            if tag not in _WAV_TAGS:
                raise UnusableFile(f"is a WAV file with compressed audio (format tag {tag}); give PCM or float")
            if not channels or not rate or not align or align != channels * ((bits + 7) // 8):
                raise UnusableFile("is damaged: its WAV header contradicts itself")
        elif name == b"data":
            if not align:
                raise UnusableFile("is damaged: its WAV header does not say what the samples are")
            available = size - offset
            declared = long_length if long_length and length == 0xFFFFFFFF else length
            if declared in _UNKNOWN_LENGTHS:
                declared = available
            _check_length(declared, available)
            return Container("WAV", "wav", PCM, declared // align / rate, 0.0, False)
    raise UnusableFile("is truncated: it holds no audio, only a WAV header")


def aiff(file: BinaryIO, size: int) -> Container:
    """An AIFF or AIFF-C file; raises `UnusableFile`."""
    rate, frames, width, data_bytes = 0.0, 0, 0, None
    for name, offset, length in _chunks(file, size, ">"):
        if name == b"COMM":
            channels, frames, bits, exponent, mantissa = struct.unpack(">hIhHQ", read_exactly(file, offset, 18))
            coding = read_exactly(file, offset + 18, 4) if length >= 22 else b"NONE"
            if coding not in _AIFF_PCM + _AIFF_LOG:
                raise UnusableFile("is an AIFF file with compressed audio; give PCM or float")
            rate = math.ldexp(mantissa, exponent - 16383 - 63) if exponent < 16383 + 63 else 0.0
            width = channels * (1 if coding in _AIFF_LOG else (bits + 7) // 8)
            if channels < 1 or width < 1 or rate < 1:
                raise UnusableFile("is damaged: its AIFF header contradicts itself")
        elif name == b"SSND":
            _check_length(length, size - offset)
            data_bytes = length - 8
    if not width or data_bytes is None:
        raise UnusableFile("is truncated: it holds no audio, only an AIFF header")
    _check_length(frames * width, data_bytes)
    return Container("AIFF", "aiff", PCM, frames / rate, 0.0, False)


def _check_length(declared: int, available: int) -> None:
    if declared > available:
        raise UnusableFile(
            f"is truncated: its header promises {declared} bytes of audio, {max(available, 0)} are there"
        )


def _chunks(file: BinaryIO, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """The (name, offset of its content, length) of each chunk."""
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > size:
            return
        name, length = struct.unpack(order + "4sI", read_exactly(file, position, 8))
        yield name, position + 8, length
        position += 8 + length + (length & 1)
    raise UnusableFile("is damaged: its header has no end")
