"""Files that are not what they say: lengths that lie, little files that unpack to hours, playlists, and scripts."""

from pathlib import Path

import numpy as np
import soundfile

SOUND_SUFFIXES = ("wav", "mp3", "flac", "m4a", "ogg")

LENGTHS: dict[str, tuple[tuple[bytes, int, int], ...]] = {
    "wav": ((b"data", 4, 4), (b"RIFF", 4, 4), (b"fmt ", 4, 4)),
    "flac": ((b"fLaC", 22, 4), (b"fLaC", 5, 3)),
    "aiff": ((b"COMM", 10, 4), (b"SSND", 4, 4), (b"FORM", 4, 4)),
    "mp3": ((b"Info", 8, 4), (b"Info", 12, 4)),
    "ogg": ((b"OggS", 6, 8), (b"OggS", 26, 1)),
    "opus": ((b"OggS", 6, 8), (b"OggS", 26, 1)),
    "m4a": ((b"mdat", -4, 4), (b"moov", -4, 4), (b"stsz", 12, 4), (b"mdhd", 16, 4)),
}
"""Where lengths are told: how many bytes after a mark, and in how many bytes."""

PLAYLISTS = {
    "m3u": "#EXTM3U\n#EXTINF:10,a song\n{}\n",
    "m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n",
    "pls": "[playlist]\nNumberOfEntries=1\nFile1={}\nLength1=10\nVersion=2\n",
    "cue": 'FILE "{}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
}

SCRIPTS = {
    "sh": "#!/bin/sh\ntouch '{marker}'\n",
    "py": "#!/usr/bin/env python3\nopen({marker!r}, 'w').close()\n",
    "html": "<html><script>fetch('{url}')</script><audio autoplay src='{url}'></audio></html>",
    "svg": "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY x SYSTEM '{url}'>]><svg xmlns='http://www.w3.org/2000/svg'>"
    "<script>fetch('{url}')</script><image href='{url}'/><text>&x;</text></svg>",
}

SILENCES = ((8000, 1, 120), (8000, 1, 59), (96_000, 8, 10))
"""Rate, channels and minutes of silence in a FLAC of at most half a megabyte."""


def length_lied(kind: str, whole: bytes, turn: int, rng: np.random.Generator) -> bytes:
    """One of the lengths that a file tells is none, huge, or any."""
    mark, offset, width = LENGTHS[kind][turn % len(LENGTHS[kind])]
    place = whole.rindex(mark) if mark == b"OggS" else whole.index(mark)
    lie = (bytes(width), b"\xff" * width, b"\x7f" * width, rng.bytes(width))[turn % 4]
    return whole[: place + offset] + lie + whole[place + offset + width :]


def flac_bomb(folder: Path, turn: int) -> bytes:
    """Silence of up to two hours in a small file, which owns up to its length, tells none, or tells a short one."""
    rate, channels, minutes = SILENCES[turn % len(SILENCES)]
    path = folder / f"silence-{minutes}"
    if not path.exists():
        with soundfile.SoundFile(path, "w", rate, channels, format="FLAC") as file:
            for _ in range(minutes):
                file.write(np.zeros((60 * rate, channels), np.int16))
    whole = path.read_bytes()
    told = (None, 0, 10 * rate)[turn // len(SILENCES) % 3]
    if told is None:
        return whole
    packed = int.from_bytes(whole[18:26], "big") >> 36 << 36 | told
    return whole[:18] + packed.to_bytes(8, "big") + whole[26:]


def playlist(song: Path, url: str, turn: int) -> tuple[str, bytes]:
    """A list that names a good song, here or at an address, under its own suffix or a song's."""
    kind = list(PLAYLISTS)[turn % len(PLAYLISTS)]
    named = (str(song), url, song.as_uri(), f"{song.parent.name}/{song.name}")[turn // 2 % 4]
    return _suffix(kind, turn), PLAYLISTS[kind].format(named).encode()


def script(marker: Path, url: str, turn: int) -> tuple[str, bytes]:
    """A program that leaves a marker, or a page that fetches an address, under its own suffix or a song's."""
    kind = list(SCRIPTS)[turn % len(SCRIPTS)]
    return _suffix(kind, turn), SCRIPTS[kind].format(marker=str(marker), url=url).encode()


def _suffix(kind: str, turn: int) -> str:
    return kind if turn % 2 else SOUND_SUFFIXES[turn // 2 % len(SOUND_SUFFIXES)]
