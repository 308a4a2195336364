"""FLAC's metadata blocks and Ogg's pages. Sources: RFC 9639 (FLAC), RFC 3533 (Ogg), RFC 7845 (Opus), Vorbis I."""

import struct
from typing import BinaryIO

from models.audio.containers.container import MOST_CHUNKS, Container, Unfit, exactly

_SLACK_S = 0.1
_MOST_PAGES = 1_000_000


def flac(file: BinaryIO, start: int, size: int) -> Container:
    """A FLAC file that begins at `start`; raises `Unfit`."""
    position, seconds = start + 4, None
    for _ in range(MOST_CHUNKS):
        head = exactly(file, position, 4)
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if kind == 0:
            packed = int.from_bytes(exactly(file, position + 4, 34)[10:18], "big")
            rate, frames = packed >> 44, packed & ((1 << 36) - 1)
            if not rate:
                raise Unfit("is damaged: its FLAC header contradicts itself")
            seconds = frames / rate if frames else None
        position += 4 + length
        if head[0] & 0x80:
            break
    if position >= size:
        raise Unfit("is truncated: it holds no audio, only a FLAC header")
    return Container("FLAC", "flac", "flac", seconds, 0.0, True)


def ogg(file: BinaryIO, size: int) -> Container:
    """An Ogg file whose pages are all there and whose streams have all come to their last page; raises `Unfit`."""
    position, granule = 0, 0
    unfinished: set[int] = set()
    first_packets: list[bytes] = []
    for _ in range(_MOST_PAGES):
        if position >= size:
            break
        head = exactly(file, position, 27)
        if head[:4] != b"OggS":
            if first_packets and not unfinished:
                break
            raise Unfit("is damaged: there is no Ogg page where one should begin")
        flags, place, serial = struct.unpack("<xxxxxBqI", head[:18])
        body = position + 27 + head[26]
        position = body + sum(exactly(file, position + 27, head[26]))
        granule = place if place >= 0 else granule
        if flags & 2:
            if first_packets and not unfinished:
                raise Unfit("is several Ogg files in one; give each by itself")
            unfinished.add(serial)
            first_packets.append(exactly(file, body, min(position - body, 19)))
        if flags & 4:
            unfinished.discard(serial)
    if position > size or unfinished:
        raise Unfit("is truncated: its last Ogg page is missing or cut")
    lengths = [_seconds(packet, granule) for packet in first_packets]
    return Container("Ogg", "ogg", "vorbis,opus,flac", lengths[0] if len(lengths) == 1 else None, _SLACK_S, False)


def _seconds(first_packet: bytes, granule: int) -> float | None:
    """The length of an Ogg stream that ends at `granule`, where its codec says how to tell."""
    if first_packet.startswith(b"OpusHead"):
        return max(granule - int.from_bytes(first_packet[10:12], "little"), 0) / 48000
    if first_packet.startswith(b"\x01vorbis"):
        rate = int.from_bytes(first_packet[12:16], "little")
        return granule / rate if rate else None
    if first_packet.startswith(b"\x7fFLAC"):
        return None
    raise Unfit("is an Ogg file with something else than Vorbis, Opus or FLAC audio")
