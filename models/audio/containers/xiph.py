"""FLAC's metadata blocks and Ogg's pages. Sources: RFC 9639 (FLAC), RFC 3533 (Ogg), RFC 7845 (Opus), Vorbis I."""

import struct
from typing import BinaryIO

from models.audio.containers.container import MAX_CHUNKS, Container, UnusableFile, read_exactly

_SLACK_S = 0.1
_MAX_PAGES = 1_000_000


def flac(file: BinaryIO, start: int, size: int) -> Container:
    """A FLAC file that begins at `start`; raises `UnusableFile`."""
    position, seconds = start + 4, None
    for _ in range(MAX_CHUNKS):
        head = read_exactly(file, position, 4)
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if kind == 0:
            packed = int.from_bytes(read_exactly(file, position + 4, 34)[10:18], "big")
            rate, frames = packed >> 44, packed & ((1 << 36) - 1)
            if not rate:
                raise UnusableFile("is damaged: its FLAC header contradicts itself")
            seconds = frames / rate if frames else None
        position += 4 + length
        if head[0] & 0x80:
            break
    if position >= size:
        raise UnusableFile("is truncated: it holds no audio, only a FLAC header")
    return Container("FLAC", "flac", "flac", seconds, 0.0, True)


def ogg(file: BinaryIO, size: int) -> Container:
    """An Ogg file; raises `UnusableFile` for a missing page or a stream without its last page."""
    position, granule = 0, 0
    unfinished: set[int] = set()
    first_packets: list[bytes] = []
    for _ in range(_MAX_PAGES):
        if position >= size:
            break
        head = read_exactly(file, position, 27)
        if head[:4] != b"OggS":
            if first_packets and not unfinished:
                break
            raise UnusableFile("is damaged: there is no Ogg page where one should begin")
        flags, granule_position, serial = struct.unpack("<xxxxxBqI", head[:18])
        body = position + 27 + head[26]
        position = body + sum(read_exactly(file, position + 27, head[26]))
        granule = granule_position if granule_position >= 0 else granule
        if flags & 2:
            if first_packets and not unfinished:
                raise UnusableFile("is several Ogg files in one; give each by itself")
            unfinished.add(serial)
            first_packets.append(read_exactly(file, body, min(position - body, 19)))
        if flags & 4:
            unfinished.discard(serial)
    if position > size or unfinished:
        raise UnusableFile("is truncated: its last Ogg page is missing or cut")
    lengths = [_seconds(packet, granule) for packet in first_packets]
    return Container("Ogg", "ogg", "vorbis,opus,flac", lengths[0] if len(lengths) == 1 else None, _SLACK_S, False)


def _seconds(first_packet: bytes, granule: int) -> float | None:
    """The length of an Ogg stream that ends at `granule`, in seconds; None for FLAC in Ogg."""
    if first_packet.startswith(b"OpusHead"):
        return max(granule - int.from_bytes(first_packet[10:12], "little"), 0) / 48000
    if first_packet.startswith(b"\x01vorbis"):
        rate = int.from_bytes(first_packet[12:16], "little")
        return granule / rate if rate else None
    if first_packet.startswith(b"\x7fFLAC"):
        return None
    raise UnusableFile("is an Ogg file with something else than Vorbis, Opus or FLAC audio")
