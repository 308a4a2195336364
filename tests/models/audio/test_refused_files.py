"""Files that are refused: not audio, truncated, damaged, lying headers, silent, or decompression bombs."""

import os
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import models.audio.ffmpeg
from models.audio.decode import SAMPLE_RATE, decode
from models.audio.settings import IngestSettings
from models.core.errors import BadInput
from tests.models.audio.decoding import refusal, samples, write
from tests.support.hostile import KINDS, chord, ffmpeg, malformed, sound
from tests.support.lying_files import flac_bomb

pytestmark = pytest.mark.usefixtures("scratch")


def test_what_is_missing_a_folder_or_a_device_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.wav")
    assert "is a folder" in refusal(tmp_path)
    assert "not a regular file" in refusal(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe.wav")
    assert "not a regular file" in refusal(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    assert "cannot be read" in refusal(tmp_path / "loop.wav")


def test_what_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = sound(tmp_path / "song.wav")
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(BadInput, match=r"song.wav cannot be read: Permission denied\.$"):
            decode(path)
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\0", "not audio"),
        (b"La la la, sang the singer.\n" * 100, "not audio but text"),
        ("Съешь же ещё этих мягких французских булок\n".encode() * 90, "not audio but text"),
        (np.random.default_rng(0).bytes(200_000), "not audio"),
        (bytes(100_000), "not audio"),
        (b"%PDF-1.7\n" + bytes(5000), "PDF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(5000), "picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(5000), "picture"),
        (b"PK\x03\x04" + bytes(5000), "ZIP"),
        (b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n", "playlist"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n", "playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "playlist"),
        (b"#!/bin/sh\ntouch /tmp/owned\n", "script"),
        (b"RIFF\x24\0\0\0WAVE", "truncated"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0", "truncated"),
        (b"fLaC", "truncated"),
        (b"OggS", "truncated"),
        (b"FORM\0\0\0\x04AIFF", "truncated"),
        (b"\0\0\0\x14ftypM4A \0\0\0\0M4A ", "truncated"),
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(1000), "truncated"),
    ],
)
def test_what_is_no_audio_is_refused_whatever_it_is_called(tmp_path: Path, data: bytes, reason: str) -> None:
    for name in ("song.wav", "song.mp3"):
        assert reason in refusal(write(tmp_path / name, data))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [0.95, 0.5, 0.02])
def test_a_file_cut_short_is_refused_as_truncated(tmp_path: Path, kind: str, left: float) -> None:
    data = sound(tmp_path / f"whole.{kind}", 3.0).read_bytes()
    cut = write(tmp_path / f"cut.{kind}", data[: round(len(data) * left)])
    sentence = refusal(cut)
    assert "truncated" in sentence or "damaged" in sentence or (kind == "mp3" and "not audio" in sentence)


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "mp3"])
def test_a_file_without_its_very_last_bytes_is_refused(tmp_path: Path, kind: str) -> None:
    data = sound(tmp_path / f"whole.{kind}").read_bytes()
    assert refusal(write(tmp_path / f"cut.{kind}", data[:-3]))


def lying_wav(data: bytes) -> bytes:
    place = data.index(b"data") + 4
    return data[:place] + struct.pack("<I", len(data) * 10) + data[place + 4 :]


def lying_flac(data: bytes) -> bytes:
    """Ten times the frames in STREAMINFO's 36-bit total."""
    packed = int.from_bytes(data[18:26], "big")
    return data[:18] + (packed + (packed & ((1 << 36) - 1)) * 9).to_bytes(8, "big") + data[26:]


def lying_aiff(data: bytes) -> bytes:
    place = data.index(b"COMM") + 10
    return data[:place] + struct.pack(">I", 10**6) + data[place + 4 :]


def lying_mp3(data: bytes) -> bytes:
    place = max(data.find(b"Info"), data.find(b"Xing")) + 8
    return data[:place] + struct.pack(">I", 10**4) + data[place + 4 :]


def lying_m4a(data: bytes) -> bytes:
    place = data.index(b"mdhd") + 4 + 16
    scaled = data[:place] + struct.pack(">I", 44100 * 30) + data[place + 4 :]
    place = scaled.index(b"tkhd") + 4 + 20
    return scaled[:place] + struct.pack(">I", 10**7) + scaled[place + 4 :]


@pytest.mark.parametrize(
    ("kind", "lie"),
    [("wav", lying_wav), ("flac", lying_flac), ("aiff", lying_aiff), ("mp3", lying_mp3), ("m4a", lying_m4a)],
)
def test_a_header_that_promises_more_is_refused(tmp_path: Path, kind: str, lie: Callable[[bytes], bytes]) -> None:
    data = sound(tmp_path / f"whole.{kind}").read_bytes()
    assert "truncated" in refusal(write(tmp_path / f"lie.{kind}", lie(data)))


def test_a_wav_header_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    data = sound(tmp_path / "whole.wav").read_bytes()
    assert "contradicts itself" in refusal(write(tmp_path / "lie.wav", data[:22] + b"\x60\xea" + data[24:]))


def test_a_flac_of_unknown_length_is_stopped_at_the_limit(tmp_path: Path) -> None:
    """A small file that unpacks to hours is refused after the accepted length, not after the hours."""
    long = tmp_path / "long.flac"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=44100:cl=stereo", "-t", "600", long)
    data = long.read_bytes()
    packed = int.from_bytes(data[18:26], "big") >> 36 << 36
    bomb = write(tmp_path / "bomb.flac", data[:18] + packed.to_bytes(8, "big") + data[26:])
    assert "too long" in refusal(bomb, IngestSettings(max_seconds=5.0))
    passed: list[int] = []
    with pytest.raises(BadInput):
        passed.extend(block.shape[1] for block in decode(bomb, IngestSettings(max_seconds=5.0)))
    assert sum(passed) <= 5 * SAMPLE_RATE


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("zeros", lambda t: 0 * t),
        ("hiss", lambda t: 4e-4 * np.sin(t)),
        ("constant", lambda t: 0 * t + 0.5),
    ],
)
def test_silence_is_refused(tmp_path: Path, name: str, shape: Callable[[np.ndarray], np.ndarray]) -> None:
    soundfile.write(tmp_path / f"{name}.wav", shape(np.arange(88200.0)), 44100, "FLOAT")
    assert "a remix of silence is refused" in refusal(tmp_path / f"{name}.wav")


def test_a_quiet_song_is_not_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "quiet.wav", 4e-3 * np.sin(np.arange(88200.0)), 44100, "FLOAT")
    assert samples(tmp_path / "quiet.wav").shape == (2, 88200)


@pytest.mark.parametrize(
    ("value", "reason"), [(np.nan, "not numbers"), (np.inf, "not numbers"), (1e30, "far over full scale")]
)
@pytest.mark.parametrize("place", [0, 80_000])
def test_samples_that_cannot_be_are_refused(tmp_path: Path, value: float, reason: str, place: int) -> None:
    spoilt = chord(2.0)
    spoilt[place, 1] = value
    soundfile.write(tmp_path / "song.wav", spoilt, 44100, "FLOAT")
    assert reason in refusal(tmp_path / "song.wav")


def test_too_short_too_long_too_fast_and_too_many_are_refused(tmp_path: Path) -> None:
    assert "too short: 0.50 s" in refusal(sound(tmp_path / "short.wav", 0.5))
    ffmpeg("-f", "lavfi", "-i", "sine=r=8000:d=3601", tmp_path / "long.flac")
    assert "a song may last 60 minutes" in refusal(tmp_path / "long.flac")
    assert "384000 Hz" in refusal(sound(tmp_path / "fast.wav", 1.0, 384_000))
    assert "4000 Hz" in refusal(sound(tmp_path / "slow.wav", 1.0, 4000))
    soundfile.write(tmp_path / "many.wav", chord(1.0, 8000, 12), 8000, "PCM_16", format="WAVEX")
    assert "12 channels" in refusal(tmp_path / "many.wav")
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 2)), 44100)
    assert "holds no audio" in refusal(tmp_path / "none.wav")


def test_audio_that_is_not_accepted_is_refused_by_name(tmp_path: Path) -> None:
    sound(tmp_path / "song.wav")
    ffmpeg("-i", tmp_path / "song.wav", "-c:a", "adpcm_ms", tmp_path / "adpcm.wav")
    assert "compressed audio" in refusal(tmp_path / "adpcm.wav")
    ffmpeg("-i", tmp_path / "song.wav", tmp_path / "song.mka")
    assert "Matroska" in refusal(tmp_path / "song.mka")
    twice = sound(tmp_path / "song.opus").read_bytes() * 2
    assert "several Ogg files" in refusal(write(tmp_path / "twice.opus", twice))
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:d=1", "-c:v", "mpeg4", tmp_path / "film.mp4")
    assert "holds no audio track" in refusal(tmp_path / "film.mp4")


def test_a_decoder_that_wants_too_much_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.audio.ffmpeg, "_MEMORY_BYTES", 1 << 20)
    refusal(sound(tmp_path / "song.flac"))


DECODE_EACH_IN_A_PROCESS = textwrap.dedent("""
    import os, resource, sys
    from pathlib import Path
    import numpy as np
    from models.audio.decode import decode
    from models.core.errors import BadInput

    def fate(path):
        resource.setrlimit(resource.RLIMIT_CPU, (10, 1200))
        try:
            for block in decode(path):
                assert np.isfinite(block).all() and abs(block).max(initial=0) < 200
        except BadInput as refused:
            return f"refused: {refused}"
        return "decoded"

    for name in sys.argv[1:]:
        if not os.fork():
            print(fate(Path(name)), flush=True)
            os._exit(0)
        _, status, used = os.wait4(-1, 0)
        print(os.path.basename(name), status, used.ru_maxrss // 1024, flush=True)
""")


def fates(*paths: Path) -> list[tuple[str, str, int, int]]:
    """What became of each file in a process of its own: (its name, the words, wait status, peak memory in MB)."""
    command = [sys.executable, "-c", DECODE_EACH_IN_A_PROCESS, *map(str, paths)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    ends = [line.split() for line in lines[1::2]]
    return [(name, words, int(status), int(mb)) for words, (name, status, mb) in zip(lines[::2], ends, strict=True)]


def test_a_small_file_that_unpacks_to_far_more_than_sound_does_is_refused_on_the_way(tmp_path: Path) -> None:
    bomb = write(tmp_path / "bomb.flac", flac_bomb(tmp_path, 1))
    passed: list[int] = []
    with pytest.raises(BadInput, match="unpack to far more than sound does"):
        passed.extend(block.shape[1] for block in decode(bomb))
    assert 60 <= sum(passed) / SAMPLE_RATE < 20 * 60, "of 59 minutes; ffmpeg reads tens of kB ahead"


def test_twenty_spoilt_files_are_each_refused_or_decoded_within_limits(tmp_path: Path) -> None:
    found = fates(*malformed(tmp_path, 20))
    assert len(found) == 20
    for name, words, status, mb in found:
        assert status == 0, name
        assert words == "decoded" or (words.startswith("refused: ") and name in words)
        assert mb < 300
    assert sum(words != "decoded" for _, words, _, _ in found) >= 12


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_hour_is_decoded_in_little_memory(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=r=8000:d=3599", tmp_path / "hour.flac")
    command = [
        sys.executable,
        "-c",
        DECODE_EACH_IN_A_PROCESS.replace("(10, 1200)", "(600, 1200)"),
        tmp_path / "hour.flac",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    words, end = done.stdout.splitlines()
    assert words == "decoded"
    assert int(end.split()[2]) < 200
