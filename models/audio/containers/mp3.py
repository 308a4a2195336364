"""MPEG-1/2/2.5 layer III: frames counted by their headers, to identify MP3, its length, and truncation.

Source: ISO/IEC 11172-3, clause 2.4.1.3; the Xing/Info and LAME headers as their encoders write them.
"""

from dataclasses import dataclass
from typing import BinaryIO

from models.audio.containers.container import Container, UnusableFile

_BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_END_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")
_SEARCH = 1 << 16
_SEQUENCE = 4
_MAX_FRAMES = 1_000_000


@dataclass(frozen=True)
class Frame:
    """One frame's header: its `bytes` with the header, and `samples` a channel at `sample_rate` Hz."""

    bytes: int
    samples: int
    sample_rate: int
    version: int
    mono: bool

    @property
    def side_bytes(self) -> int:
        """Header and side information, after which a Xing header may stand."""
        return 4 + ((17 if self.mono else 32) if self.version == 3 else (9 if self.mono else 17))


@dataclass(frozen=True)
class FrameScan:
    """The result of scanning the frame headers.

    `frames` with audio; `declared` frames by the Xing header, None without one; `cut` if the last frame is incomplete;
    `garbage` bytes between frames.
    """

    frames: int
    declared: int | None
    cut: bool
    garbage: int
    samples_per_frame: int
    sample_rate: int


def frame_header(four: bytes) -> Frame | None:
    """The frame of a four-byte header, or None for an invalid one (free format counts as invalid)."""
    if len(four) < 4 or four[0] != 0xFF or four[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = (four[1] >> 3) & 3, four[2] >> 4, (four[2] >> 2) & 3
    if version == 1 or rate == 3 or bitrate in (0, 15):
        return None
    first = version == 3
    kbps = (_BITRATES_1 if first else _BITRATES_2)[bitrate]
    sample_rate = _RATES[version][rate]
    length = (144 if first else 72) * kbps * 1000 // sample_rate + ((four[2] >> 1) & 1)
    return Frame(length, 1152 if first else 576, sample_rate, version, four[3] >> 6 == 3)


def first_frame(file: BinaryIO, start: int) -> int | None:
    """The offset of the first of four consecutive frames within 64 KiB of `start`, or None."""
    file.seek(start)
    head = file.read(_SEARCH)
    at = head.find(b"\xff")
    while at >= 0:
        if _starts_frame_sequence(file, start + at):
            return start + at
        at = head.find(b"\xff", at + 1)
    return None


def scan_frames(file: BinaryIO, start: int, size: int) -> FrameScan:
    """Scan all frames from `start`, the offset of the first, to the end of a file of `size` bytes."""
    first = _frame_at(file, start)
    assert first is not None
    declared = _declared_frames(file, start, first)
    position = start + first.bytes if declared is not None else start
    frames = garbage = 0
    while position < size and frames < _MAX_FRAMES:
        frame = _frame_at(file, position)
        if frame is not None and frame.sample_rate == first.sample_rate:
            if position + frame.bytes > size:
                return FrameScan(frames, declared, True, garbage, first.samples, first.sample_rate)
            frames, position = frames + 1, position + frame.bytes
            continue
        file.seek(position)
        if file.read(16).startswith(_END_TAGS):
            break
        following = first_frame(file, position)
        garbage += (size if following is None else following) - position
        if following is None:
            break
        position = following
    return FrameScan(frames, declared, False, garbage, first.samples, first.sample_rate)


def _frame_at(file: BinaryIO, position: int) -> Frame | None:
    file.seek(position)
    return frame_header(file.read(4))


def _starts_frame_sequence(file: BinaryIO, position: int) -> bool:
    """Whether four consecutive frames of one sample rate start here."""
    rates = set()
    for _ in range(_SEQUENCE):
        frame = _frame_at(file, position)
        if frame is None:
            return False
        rates.add(frame.sample_rate)
        position += frame.bytes
    return len(rates) == 1


def _declared_frames(file: BinaryIO, start: int, first: Frame) -> int | None:
    """The number of frames in a Xing, Info or VBRI header, which replaces the first frame; None without one."""
    file.seek(start)
    head = file.read(first.bytes)
    xing = head[first.side_bytes :]
    if xing[:4] in (b"Xing", b"Info") and len(xing) >= 12:
        return int.from_bytes(xing[8:12], "big") if xing[7] & 1 else 0
    vbri = head[36:]
    if vbri[:4] == b"VBRI" and len(vbri) >= 18:
        return int.from_bytes(vbri[14:18], "big")
    return None


def mp3(file: BinaryIO, first: int, size: int) -> Container:
    """An MP3 file whose first frame is at `first`; raises `UnusableFile` for a truncated or damaged one."""
    scan = scan_frames(file, first, size)
    complete = scan.frames >= scan.declared - 1 if scan.declared else True
    if not complete or (scan.cut and not 0 < (scan.declared or 0) <= scan.frames):
        raise UnusableFile("is truncated: its last MP3 frames are missing or cut")
    if scan.garbage > size // 20:
        raise UnusableFile("is damaged: much of it is not MP3 frames")
    frame_s = scan.samples_per_frame / scan.sample_rate
    seconds = scan.frames * frame_s
    return Container("MP3", "mp3", "mp3float", seconds, 6 * frame_s + 0.02 * seconds, False)
