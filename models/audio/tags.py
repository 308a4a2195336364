"""Metadata of an audio file: title, artist, other tags and cover."""

import re
from dataclasses import dataclass
from pathlib import Path

from models.audio.ffmpeg import open_audio, run_ffmpeg

_MAX_TAG_BYTES, _MAX_COVER_BYTES = 1 << 20, 10_000_000
_PICTURES = ("-codec_whitelist", "mjpeg,png", "-max_pixels", "50000000")
_NOT_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id", "language"}


@dataclass(frozen=True)
class Tags:
    """A file's metadata; `fields` are all other tags, by ffmpeg's names ("album", "date", "comment").

    `cover` is a JPEG or PNG picture's bytes. `artist` may be empty, `title` never is.
    """

    title: str
    artist: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    cover: bytes | None = None

    @property
    def folder_name(self) -> str:
        """The title as one folder's name: no separators, no control characters, no dot first, at most 120 bytes.

        >>> Tags("../AC/DC: live\\n").folder_name
        'AC-DC: live'
        """
        name = "".join(c if c.isprintable() and c not in "/\\" else "-" for c in self.title).strip(" .-")
        return name.encode()[:120].decode(errors="ignore").rstrip(" .-") or "untitled"


def read_tags(path: Path) -> Tags:
    """The tags of an audio file; the title defaults to the file name's stem.

    Raises `BadInput` for a file that is not audio or truncated. At most 64 fields of 1,000 characters are read, and a
    decodable cover of at most 10 MB and 50 megapixels.
    """
    metadata = ["-map", "0:a:0", "-map_chapters", "-1", "-c", "copy", "-f", "ffmetadata"]
    picture = ["-map", "0:v:0", "-frames:v", "1", "-f", "null", "-"]  # can it be decoded?
    picture += ["-map", "0:v:0", "-frames:v", "1", "-c", "copy", "-f", "data"]
    with open_audio(path) as source:
        with run_ffmpeg(source, ["-codec_whitelist", source.container.decoders], metadata) as ffmpeg:
            fields = _fields(_text(ffmpeg.output.read(_MAX_TAG_BYTES)))
        with run_ffmpeg(source, ["-xerror", *_PICTURES], picture) as ffmpeg:
            cover = ffmpeg.output.read(_MAX_COVER_BYTES + 1)
            cover_ok = len(cover) <= _MAX_COVER_BYTES and ffmpeg.failure() is None
    cover_ok = cover_ok and cover.startswith((b"\xff\xd8\xff", b"\x89PNG"))
    title, artist = fields.pop("title", "") or path.stem, fields.pop("artist", "")
    return Tags(title, artist, tuple(fields.items()), cover if cover_ok else None)


def _text(data: bytes) -> str:
    """Decode tags as UTF-8, or as Windows-1252 if they are not."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _fields(text: str) -> dict[str, str]:
    """Tags from ffmpeg's metadata format, the file's own before its streams', without the encoder's.

    >>> _fields(";FFMETADATA1\\ntitle=a \\\\= b\\nencoder=x\\n[STREAM]\\nTITLE=c\\nartist=d\\n")
    {'title': 'a = b', 'artist': 'd'}
    """
    fields: dict[str, str] = {}
    for pair in re.finditer(r"^((?:\\.|[^\\=\n])+)=((?:\\.|[^\\\n])*)", text, re.MULTILINE | re.DOTALL):
        name, value = (re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in pair.groups())
        name, value = name.lower(), "".join(c if c.isprintable() else " " for c in value)
        value = " ".join(value.split())[:1000]
        if value and name not in _NOT_TAGS and name not in fields and len(fields) < 64:
            fields[name] = value
    return fields
