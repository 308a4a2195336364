"""Identification of audio files by their bytes, and checks that they are complete.

Decoders are lenient: they play the rest of a truncated file. So each container's structure is read here first, a few
bytes at a time, and a bad file is refused with the reason before any decoder runs.
"""

import struct
from typing import BinaryIO

from models.audio.containers.container import Container, UnusableFile
from models.audio.containers.mp3 import first_frame, mp3
from models.audio.containers.mp4 import mp4
from models.audio.containers.riff import aiff, wav
from models.audio.containers.xiph import flac, ogg

__all__ = ["Container", "UnusableFile", "identify_container"]

_ACCEPTED = "wav, flac, mp3, ogg, opus, m4a or aiff"
_OTHER_FORMATS = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"),
    (b"MThd", "a MIDI file"),
    (b"RIFX", "a big-endian WAV file"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
    (b"0&\xb2u\x8ef\xcf\x11", "a Windows Media file"),
    (b"#EXTM3U", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"#!", "a script"),
)


def identify_container(file: BinaryIO, size: int) -> Container:
    """The container of a file of `size` bytes; raises `UnusableFile` for one that is not audio or not complete."""
    if size == 0:
        raise UnusableFile("is empty")
    try:
        return _identify(file, size)
    except (struct.error, EOFError):
        raise UnusableFile("is truncated: it ends within its header") from None


def _identify(file: BinaryIO, size: int) -> Container:
    start = _skip_id3(file)
    file.seek(start)
    head = file.read(16)
    if not head:
        raise EOFError
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return wav(file, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return aiff(file, size)
    if head[:4] == b"fLaC":
        return flac(file, start, size)
    if head[:4] == b"OggS":
        return ogg(file, size)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        return mp4(file, size)
    for magic, what in _OTHER_FORMATS:
        if head.startswith(magic):
            raise UnusableFile(f"is {what}, which is not accepted; give a {_ACCEPTED} file")
    first = first_frame(file, start)
    if first is None:
        raise UnusableFile(f"is not audio{_text_hint(file)}; give a {_ACCEPTED} file")
    return mp3(file, first, size)


def _text_hint(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(1024)
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in head)
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as broken:
        if broken.start < len(head) - 4:
            return ""
    return " but text" if printable == len(head) else ""


def _skip_id3(file: BinaryIO) -> int:
    """The offset after the file's ID3v2 tags, in bytes."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
            return position
        a, b, c, d = head[6:10]
        position += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if head[5] & 0x10 else 0)
