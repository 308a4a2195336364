"""The chunks of WAV and AIFF files. Sources: RIFF/WAVE, EBU Tech 3306 (RF64), Apple's AIFF-C (1991)."""

import math
import struct
from collections.abc import Iterator
from typing import BinaryIO

from models.audio.containers.container import MOST_CHUNKS, PCM, Container, Unfit, exactly

_UNKNOWN_LENGTHS = (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000)  # what writers to a pipe leave in the header
_WAV_TAGS = (1, 3, 6, 7, 0xFFFE)  # integer, float, A-law, µ-law, and the one that says it further on
_AIFF_PCM = (b"NONE", b"sowt", b"twos", b"fl32", b"FL32", b"fl64", b"FL64", b"in24", b"in32")
_AIFF_LOG = (b"alaw", b"ulaw", b"ALAW", b"ULAW")


def wav(file: BinaryIO, size: int) -> Container:
    """A WAV file (RIFF or RF64); raises `Unfit`."""
    align = rate = long_length = 0
    for name, place, length in _chunks(file, size, "<"):
        if name == b"ds64":
            long_length = struct.unpack("<8xQ", exactly(file, place, 16))[0]
        elif name == b"fmt ":
            tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", exactly(file, place, 16))
            if tag not in _WAV_TAGS:
                raise Unfit(f"is a WAV file with compressed audio (format tag {tag}); give PCM or float")
            if not channels or not rate or not align or align != channels * ((bits + 7) // 8):
                raise Unfit("is damaged: its WAV header contradicts itself")
        elif name == b"data":
            if not align:
                raise Unfit("is damaged: its WAV header does not say what the samples are")
            there = size - place
            promised = long_length if long_length and length == 0xFFFFFFFF else length
            if promised in _UNKNOWN_LENGTHS:
                promised = there
            _all_there(promised, there)
            return Container("WAV", "wav", PCM, promised // align / rate, 0.0, False)
    raise Unfit("is truncated: it holds no audio, only a WAV header")


def aiff(file: BinaryIO, size: int) -> Container:
    """An AIFF or AIFF-C file; raises `Unfit`."""
    rate, frames, width, stored = 0.0, 0, 0, None
    for name, place, length in _chunks(file, size, ">"):
        if name == b"COMM":
            channels, frames, bits, exponent, mantissa = struct.unpack(">hIhHQ", exactly(file, place, 18))
            coding = exactly(file, place + 18, 4) if length >= 22 else b"NONE"
            if coding not in _AIFF_PCM + _AIFF_LOG:
                raise Unfit("is an AIFF file with compressed audio; give PCM or float")
            rate = math.ldexp(mantissa, exponent - 16383 - 63) if exponent < 16383 + 63 else 0.0
            width = channels * (1 if coding in _AIFF_LOG else (bits + 7) // 8)
            if channels < 1 or width < 1 or rate < 1:
                raise Unfit("is damaged: its AIFF header contradicts itself")
        elif name == b"SSND":
            _all_there(length, size - place)
            stored = length - 8
    if not width or stored is None:
        raise Unfit("is truncated: it holds no audio, only an AIFF header")
    _all_there(frames * width, stored)
    return Container("AIFF", "aiff", PCM, frames / rate, 0.0, False)


def _all_there(promised: int, there: int) -> None:
    if promised > there:
        raise Unfit(f"is truncated: its header promises {promised} bytes of audio, {max(there, 0)} are there")


def _chunks(file: BinaryIO, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """The (name, place, length) of each chunk."""
    position = 12
    for _ in range(MOST_CHUNKS):
        if position + 8 > size:
            return
        name, length = struct.unpack(order + "4sI", exactly(file, position, 8))
        yield name, position + 8, length
        position += 8 + length + (length & 1)
    raise Unfit("is damaged: its header has no end")
