import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from models.audio.tags import read_tags
from models.core.errors import BadInput
from tests.models.audio.decoding import samples, write
from tests.support.hostile import KINDS, ffmpeg, sound

pytestmark = pytest.mark.usefixtures("scratch")


def test_tags_and_cover_are_read_and_a_song_without_a_title_has_its_files_name(tmp_path: Path) -> None:
    picture = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", picture)
    for kind in KINDS:
        plain = sound(tmp_path / f"Plain Song.{kind}")
        assert read_tags(plain).title == "Plain Song"
        assert read_tags(plain).cover is None
        fractions = tmp_path / f"told.{kind}"
        images = ["-i", picture, "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic"]
        images = images if kind in ("flac", "mp3", "m4a") else []
        ffmpeg("-i", plain, *images, "-c:a", "copy", "-metadata", "title=Là = x; #1\\\ntwo", "-metadata",
               "comment=so so", fractions)  # fmt: skip
        tags = read_tags(fractions)
        assert tags.title == "Là = x; #1\\ two", kind
        assert dict(tags.fields)["comment"] == "so so"
        assert tags.cover == (picture.read_bytes() if images else None)


def picture_of(side: int) -> bytes:
    """A square PNG of one colour; a large one is small as a file."""
    squeeze = zlib.compressobj(9)
    pixels = b"".join(squeeze.compress(bytes(side + 1)) for _ in range(side)) + squeeze.flush()
    parts = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("cover", "kept"), [(picture_of(64), True), (picture_of(9000), False), (b"\xff\xd8\xff" * 99, False)]
)
def test_a_cover_that_cannot_be_decoded_or_is_a_bomb_is_left_out(tmp_path: Path, cover: bytes, kept: bool) -> None:
    apic = b"\0image/png\0\x03\0" + cover
    frame = b"APIC" + struct.pack(">I", len(apic)) + b"\0\0" + apic
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    data = sound(tmp_path / "plain.mp3").read_bytes()
    song = write(tmp_path / "song.mp3", b"ID3\x03\0\0" + size + frame + data)
    assert read_tags(song).cover == (cover if kept else None)
    assert np.array_equal(samples(song), samples(tmp_path / "plain.mp3"))


def test_old_tags_are_read_as_windows_1252(tmp_path: Path) -> None:
    data = sound(tmp_path / "song.mp3").read_bytes()
    tag = b"TAG" + "Für Elise".encode("cp1252").ljust(30, b"\0") + b"Beethoven".ljust(30, b"\0") + bytes(65)
    tags = read_tags(write(tmp_path / "old.mp3", data[data.index(b"\xff\xfb") :] + tag))
    assert (tags.title, tags.artist) == ("Für Elise", "Beethoven")


def test_tags_of_no_audio_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not audio but text"):
        read_tags(write(tmp_path / "a.mp3", b"no song at all\n" * 50))
