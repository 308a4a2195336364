import os
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import models.audio.ffmpeg
from models.audio.decode import DEFAULT, SAMPLE_RATE, IngestSettings, decode, read_tags
from models.core.errors import BadInput, Cancelled
from models.core.progress import Watch
from models.core.types import Samples
from tests.support.hostile import KINDS, chord, ffmpeg, malformed, sound
from tests.support.lying_files import flac_bomb


def samples(path: Path, settings: IngestSettings = DEFAULT) -> Samples:
    return np.concatenate(list(decode(path, settings)), axis=1)


def refusal(path: Path, settings: IngestSettings = DEFAULT) -> str:
    """The sentence with which a file is refused; whatever was started or opened for it is gone."""
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(BadInput) as refused:
        for _ in decode(path, settings):
            pass
    assert set(os.listdir("/proc/self/fd")) == before
    assert children() == []
    sentence = str(refused.value)
    assert str(path) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def children() -> list[str]:
    """The ffmpeg programs that this process has started and not ended."""
    numbers = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [number for number in numbers if Path(f"/proc/{number}/comm").read_text().startswith("ffmpeg")]


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary files go to a folder of their own, which is empty again after each test."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    yield
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_decodes_to_the_sound_it_was_made_from(tmp_path: Path, kind: str) -> None:
    heard = samples(sound(tmp_path / f"song.{kind}"))
    truth = chord(2.0).T
    assert heard.dtype == np.float32
    assert heard.shape == truth.shape
    assert np.corrcoef(heard.ravel(), truth.ravel())[0, 1] > 0.99
    assert np.std(heard - truth) < 0.05


@pytest.mark.parametrize("sample_rate", [8000, 11025, 22050, 32000, 48000, 96000, 192_000])
def test_each_rate_comes_out_at_44100_hz_in_tune(tmp_path: Path, sample_rate: int) -> None:
    heard = samples(sound(tmp_path / "song.wav", 2.0, sample_rate))
    assert heard.shape[1] == pytest.approx(2 * SAMPLE_RATE, abs=2)
    truth = chord(2.0, SAMPLE_RATE).T
    inner = slice(2000, 2 * SAMPLE_RATE - 2000)
    assert np.corrcoef(heard[0, inner], truth[0, inner])[0, 1] > 0.998


@pytest.mark.parametrize(
    ("subtype", "error"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-23), ("FLOAT", 0.0), ("DOUBLE", 0.0)],
)
def test_each_width_keeps_its_precision(tmp_path: Path, subtype: str, error: float) -> None:
    heard = samples(sound(tmp_path / "song.wav", subtype=subtype))
    assert np.abs(heard - chord(2.0).T).max() <= error


def test_mono_goes_to_both_channels_unchanged(tmp_path: Path) -> None:
    heard = samples(sound(tmp_path / "song.wav", channels=1, subtype="FLOAT"))
    assert np.array_equal(heard[0], heard[1])
    assert np.array_equal(heard[0], chord(2.0, channels=1)[:, 0])


@pytest.mark.parametrize("kind", ["wav", "flac", "opus"])
@pytest.mark.parametrize(("channel", "left_db", "right_db"), [(0, -7.7, None), (2, -10.7, -10.7), (5, None, -10.7)])
def test_six_channels_are_folded_down_each_to_its_place(
    tmp_path: Path, kind: str, channel: int, left_db: float | None, right_db: float | None
) -> None:
    """Source: ITU-R BS.775-3, table 2, scaled by 1 / (1 + 2 * 0.7071)."""
    six = np.zeros((2 * 48000, 6), np.float32)
    six[:, channel] = np.sin(np.arange(len(six)) * 0.05) * 0.9
    soundfile.write(tmp_path / "six.wav", six, 48000, "PCM_24")
    ffmpeg("-channel_layout", "5.1", "-i", tmp_path / "six.wav", tmp_path / f"song.{kind}")
    heard = samples(tmp_path / f"song.{kind}")
    for side, decibels in zip(heard, (left_db, right_db), strict=True):
        level = np.std(side) / np.std(six[:, channel])
        assert level == pytest.approx(10 ** (decibels / 20) if decibels is not None else 0.0, abs=0.01)


def test_the_fold_down_of_six_full_channels_stays_within_full_scale(tmp_path: Path) -> None:
    loud = np.repeat(np.sign(np.sin(np.arange(88200) * 0.01))[:, None], 6, axis=1) * 0.999
    soundfile.write(tmp_path / "song.wav", loud, 44100, "PCM_24")
    heard = samples(tmp_path / "song.wav")
    assert 0.9 < np.abs(heard).max() <= 1.0


@pytest.mark.parametrize("sample_rate", [44100, 48000])
def test_one_song_in_another_lossless_file_is_the_same_song(tmp_path: Path, sample_rate: int) -> None:
    first = sound(tmp_path / "a.wav", sample_rate=sample_rate)
    truth = samples(first)
    picture = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", picture)
    ffmpeg("-i", first, "-i", picture, "-map", "0", "-map", "1", "-disposition:v", "attached_pic", "-metadata",
           "title=Ünother", tmp_path / "b.flac")  # fmt: skip
    ffmpeg("-i", tmp_path / "b.flac", "-map", "0:a", "-write_id3v2", "1", tmp_path / "c.aiff")
    ffmpeg("-i", tmp_path / "c.aiff", "-c:a", "pcm_s24le", tmp_path / "d.wav")
    ffmpeg("-i", tmp_path / "d.wav", "-c:a", "alac", tmp_path / "e.m4a")
    for name in ("b.flac", "c.aiff", "d.wav", "e.m4a"):
        assert samples(tmp_path / name).tobytes() == truth.tobytes(), name


@pytest.mark.parametrize("kind", ["mp3", "ogg", "m4a"])
def test_tags_and_pictures_do_not_change_a_sample(tmp_path: Path, kind: str) -> None:
    plain = sound(tmp_path / f"plain.{kind}")
    tagged = tmp_path / f"tagged.{kind}"
    ffmpeg("-i", plain, "-c", "copy", "-metadata", "title=" + "long " * 400, "-metadata", "artist=A", tagged)
    assert samples(tagged).tobytes() == samples(plain).tobytes()


def test_a_wav_written_to_a_pipe_has_no_length_and_is_accepted(tmp_path: Path) -> None:
    data = bytearray(sound(tmp_path / "song.wav").read_bytes())
    place = data.index(b"data")
    data[place + 4 : place + 8] = b"\xff" * 4
    (tmp_path / "piped.wav").write_bytes(data)
    assert np.array_equal(samples(tmp_path / "piped.wav"), samples(tmp_path / "song.wav"))


def test_rf64_is_accepted_and_a_big_endian_wav_refused(tmp_path: Path) -> None:
    truth = samples(sound(tmp_path / "song.wav"))
    soundfile.write(tmp_path / "rf64.wav", chord(2.0), 44100, "PCM_16", format="RF64")
    soundfile.write(tmp_path / "rifx.wav", chord(2.0), 44100, "PCM_16", endian="BIG", format="WAV")
    assert np.array_equal(samples(tmp_path / "rf64.wav"), truth)
    assert "big-endian" in refusal(tmp_path / "rifx.wav")


def test_a_song_comes_in_blocks_and_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[float] = []
    blocks = list(decode(sound(tmp_path / "song.flac", 8.0, 48000), watch=Watch(told.append)))
    assert len(blocks) > 4
    assert max(block.shape[1] for block in blocks) <= 1 << 16
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert 0.1 < told[0] < 0.5


def test_a_cancelled_decoding_ends_its_program(tmp_path: Path) -> None:
    calls: list[float] = []
    with pytest.raises(Cancelled):
        for _ in decode(sound(tmp_path / "song.wav", 8.0), watch=Watch(calls.append, lambda: len(calls) > 1)):
            pass
    assert children() == []


def test_a_decoding_left_in_the_middle_ends_its_program(tmp_path: Path) -> None:
    blocks = decode(sound(tmp_path / "song.wav", 8.0))
    next(blocks)
    assert children()
    del blocks
    assert children() == []


def test_a_minute_is_accepted_up_to_its_last_frame_and_no_further(tmp_path: Path) -> None:
    minute = IngestSettings(max_seconds=2.0)
    assert samples(sound(tmp_path / "song.flac", 2.0), minute).shape[1] == 2 * SAMPLE_RATE
    assert "too long" in refusal(sound(tmp_path / "long.flac", 2.01), minute)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


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


def test_tags_and_cover_are_read_and_a_song_without_a_title_has_its_files_name(tmp_path: Path) -> None:
    picture = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", picture)
    for kind in KINDS:
        plain = sound(tmp_path / f"Plain Song.{kind}")
        assert read_tags(plain).title == "Plain Song"
        assert read_tags(plain).cover is None
        told = tmp_path / f"told.{kind}"
        images = ["-i", picture, "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic"]
        images = images if kind in ("flac", "mp3", "m4a") else []
        ffmpeg("-i", plain, *images, "-c:a", "copy", "-metadata", "title=Là = x; #1\\\ntwo", "-metadata",
               "comment=so so", told)  # fmt: skip
        tags = read_tags(told)
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
