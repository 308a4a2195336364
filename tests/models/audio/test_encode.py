import os
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

import models.audio.encode
from models.audio.decode import decode
from models.audio.encode import write_flac, write_mp3, write_wav
from models.audio.tags import Tags, read_tags
from models.core.errors import BadInput, Cancelled
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source, Wave
from tests.support.hostile import chord, ffmpeg

Writer = Callable[[Source, Path, Watch], None]


def as_mp3(source: Source, path: Path, watch: Watch = UNWATCHED) -> None:
    write_mp3(source, path, Tags("Song"), "made by a machine", watch)


WRITERS: list[tuple[Writer, str]] = [(write_wav, "wav"), (write_flac, "flac"), (as_mp3, "mp3")]
EACH_WRITER = pytest.mark.parametrize(("write", "kind"), WRITERS, ids=["wav", "flac", "mp3"])


def wave(seconds: float = 2.0, channels: int = 2) -> Wave:
    return Wave(np.ascontiguousarray(chord(seconds, 44100, channels).T), 44100)


class Endless:
    """A long source that is made as it is read."""

    sample_rate, channels = 44100, 2

    def __init__(self, seconds: float) -> None:
        self.frames = round(seconds * self.sample_rate)
        self.largest_read = 0

    def read(self, start: int, stop: int) -> Samples:
        self.largest_read = max(self.largest_read, stop - start)
        tone = np.sin(np.arange(start, stop) * 0.05).astype(np.float32) * np.float32(0.5)
        return np.stack([tone, -tone])


@pytest.mark.parametrize(("write", "kind"), WRITERS[:2], ids=["wav", "flac"])
def test_24_bit_files_hold_every_sample_to_the_last_bit(tmp_path: Path, write: Writer, kind: str) -> None:
    song = wave()
    write(song, tmp_path / f"mix.{kind}", UNWATCHED)
    info = soundfile.info(tmp_path / f"mix.{kind}")
    assert (info.format, info.subtype) == ({"wav": "WAV", "flac": "FLAC"}[kind], "PCM_24")
    assert (info.samplerate, info.channels, info.frames) == (44100, 2, song.frames)
    decoded = np.concatenate(list(decode(tmp_path / f"mix.{kind}")), axis=1)
    assert np.abs(decoded - song.samples).max() <= 2**-24
    write(Wave(decoded, 44100), tmp_path / f"again.{kind}", UNWATCHED)
    assert (tmp_path / f"again.{kind}").read_bytes() == (tmp_path / f"mix.{kind}").read_bytes()


@EACH_WRITER
def test_equal_samples_give_equal_bytes(tmp_path: Path, write: Writer, kind: str) -> None:
    for name in ("a", "b"):
        write(wave(), tmp_path / f"{name}.{kind}", UNWATCHED)
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize(("write", "kind"), WRITERS[:2], ids=["wav", "flac"])
def test_samples_over_full_scale_are_clipped_not_wrapped(tmp_path: Path, write: Writer, kind: str) -> None:
    loud = wave()
    write(Wave(loud.samples * 4, 44100), tmp_path / f"mix.{kind}", UNWATCHED)
    decoded, _ = soundfile.read(tmp_path / f"mix.{kind}", dtype="float32")
    assert np.abs(decoded.T - np.clip(loud.samples * 4, -1, 1)).max() < 2**-22


def test_a_wav_too_large_for_32_bit_lengths_is_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wav(wave(), tmp_path / "small.wav")
    monkeypatch.setattr(models.audio.encode, "_MAX_WAV_BYTES", 1000)
    write_wav(wave(), tmp_path / "large.wav")
    assert (tmp_path / "small.wav").read_bytes()[:4] == b"RIFF"
    assert (tmp_path / "large.wav").read_bytes()[:4] == b"RF64"
    assert np.array_equal(soundfile.read(tmp_path / "large.wav")[0], soundfile.read(tmp_path / "small.wav")[0])


def test_silence_stays_silence(tmp_path: Path) -> None:
    write_wav(Wave(np.zeros((2, 44100), np.float32), 44100), tmp_path / "mix.wav")
    assert not soundfile.read(tmp_path / "mix.wav")[0].any()


def test_a_mono_stem_stays_mono(tmp_path: Path) -> None:
    write_flac(wave(channels=1), tmp_path / "stem.flac")
    assert soundfile.info(tmp_path / "stem.flac").channels == 1


def test_an_mp3_sounds_like_its_source_and_is_as_long(tmp_path: Path) -> None:
    song = wave(3.0)
    as_mp3(song, tmp_path / "mix.mp3")
    decoded = np.concatenate(list(decode(tmp_path / "mix.mp3")), axis=1)
    assert decoded.shape == song.samples.shape
    assert np.corrcoef(decoded.ravel(), song.samples.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_mp3_keeps_tags_and_cover_and_says_what_it_is(tmp_path: Path, suffix: str) -> None:
    picture = tmp_path / f"picture.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", picture)
    fields = (("album", "Ä = b; c"), ("comment", "live"), ("track", "3"))
    tags = Tags("Señor -metadata", "An Artist", fields, picture.read_bytes())
    write_mp3(wave(), tmp_path / "mix.mp3", tags, "AI-converted voice: lj")
    kept = read_tags(tmp_path / "mix.mp3")
    assert kept.title == "Señor -metadata (remix)"
    assert kept.artist == "An Artist"
    assert dict(kept.fields) == {"album": "Ä = b; c", "comment": "AI-converted voice: lj / live", "track": "3"}
    assert kept.cover == tags.cover
    assert b"AI-converted voice: lj" in (tmp_path / "mix.mp3").read_bytes()[-128:]


@EACH_WRITER
def test_a_long_song_is_read_in_blocks_and_tells_how_far_it_is(tmp_path: Path, write: Writer, kind: str) -> None:
    song, told = Endless(60), []
    tracemalloc.start()
    write(song, tmp_path / f"mix.{kind}", Watch(told.append))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert song.largest_read <= 1 << 17
    assert peak < 8e6
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert sum(0.1 < fraction < 0.9 for fraction in told) > 5


@EACH_WRITER
def test_a_cancelled_file_leaves_nothing(tmp_path: Path, write: Writer, kind: str) -> None:
    (tmp_path / f"mix.{kind}").write_bytes(b"the old one")
    told: list[float] = []
    watch = Watch(told.append, lambda: bool(told) and told[-1] > 0.28)
    with pytest.raises(Cancelled):
        write(Endless(30), tmp_path / f"mix.{kind}", watch)
    assert os.listdir(tmp_path) == [f"mix.{kind}"]
    assert (tmp_path / f"mix.{kind}").read_bytes() == b"the old one"


def test_an_mp3_cancelled_while_it_is_encoded_ends_its_processes(tmp_path: Path) -> None:
    told: list[float] = []
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(children.read_text().split())  # a server of other tests, perhaps
    with pytest.raises(Cancelled):
        write_mp3(Endless(300), tmp_path / "mix.mp3", Tags("Song"), "", Watch(told.append, lambda: told[-1:] > [0.32]))
    assert not os.listdir(tmp_path)
    assert set(children.read_text().split()) <= before
    until = time.monotonic() + 20  # its own children are killed too, but reaped by another
    while (running := commands_naming(tmp_path)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not running


def commands_naming(path: Path) -> list[bytes]:
    """The command lines of all processes that name a path."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(command.read_bytes())
    return [command for command in found if str(path).encode() in command]


@EACH_WRITER
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, write: Writer, kind: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "none", tmp_path / "file", Path("/proc")):
        with pytest.raises(BadInput) as refused:
            write(wave(), folder / f"mix.{kind}", UNWATCHED)
        sentence = str(refused.value)
        assert sentence.startswith(f"{folder}/mix.{kind} cannot be written: ")
        assert sentence.endswith(".")
        assert "\n" not in sentence
    assert os.listdir(tmp_path) == ["file"]


@EACH_WRITER
def test_a_folder_in_the_files_place_stays(tmp_path: Path, write: Writer, kind: str) -> None:
    (tmp_path / f"mix.{kind}").mkdir()
    with pytest.raises(BadInput, match="Is a directory"):
        write(wave(), tmp_path / f"mix.{kind}", UNWATCHED)
    assert os.listdir(tmp_path) == [f"mix.{kind}"]


NO_ROOM = textwrap.dedent("""
    import resource, sys
    from pathlib import Path
    from models.core.errors import BadInput
    from tests.models.audio.test_encode import WRITERS, Endless
    from models.core.progress import UNWATCHED
    write, kind = WRITERS[int(sys.argv[1])]
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
    try:
        write(Endless(20), Path(sys.argv[2]) / f"mix.{kind}", UNWATCHED)
    except BadInput as refused:
        print(refused)
""")


@pytest.mark.parametrize(
    ("index", "room"),
    [(0, 100_000), (1, 100_000), (2, 100_000), (2, 3_528_000)],
    ids=["wav", "flac", "mp3", "mp3-late"],
)
def test_a_disk_without_room_is_one_sentence(tmp_path: Path, index: int, room: int) -> None:
    """The kernel refuses to let any file grow further, as it does on a full disk."""
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(index), str(tmp_path), str(room)], capture_output=True, text=True
    )
    assert done.stdout == f"{tmp_path}/mix.{WRITERS[index][1]} cannot be written: File too large.\n", done.stderr
    assert not done.stderr
    assert not os.listdir(tmp_path)


@EACH_WRITER
def test_samples_that_are_not_numbers_are_a_fault_of_ours(tmp_path: Path, write: Writer, kind: str) -> None:
    spoilt = wave()
    spoilt.samples[0, 99] = np.nan
    with pytest.raises(ValueError, match="not numbers"):
        write(spoilt, tmp_path / f"mix.{kind}", UNWATCHED)
    assert not os.listdir(tmp_path)


@EACH_WRITER
def test_a_source_that_cannot_be_read_is_not_blamed_on_the_disk(tmp_path: Path, write: Writer, kind: str) -> None:
    class Gone(Endless):
        def read(self, start: int, stop: int) -> Samples:
            raise OSError("the blob is gone")

    with pytest.raises(RuntimeError, match="cannot be read"):
        write(Gone(2), tmp_path / f"mix.{kind}", UNWATCHED)
    assert not os.listdir(tmp_path)


@EACH_WRITER
def test_a_file_has_the_rights_that_others_have(tmp_path: Path, write: Writer, kind: str) -> None:
    (tmp_path / "other").touch()
    write(wave(), tmp_path / f"mix.{kind}", UNWATCHED)
    assert (tmp_path / f"mix.{kind}").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(("write", "name"), [(write_wav, "a.wav"), (write_flac, "a.flac")])
def test_a_comment_is_in_the_tags_and_the_samples_are_the_same(tmp_path: Path, write, name: str) -> None:
    write(wave(), tmp_path / name, comment="AI-converted voice: lj (public domain)")
    write(wave(), tmp_path / f"plain {name}")
    assert dict(read_tags(tmp_path / name).fields)["comment"] == "AI-converted voice: lj (public domain)"
    np.testing.assert_array_equal(soundfile.read(tmp_path / name)[0], soundfile.read(tmp_path / f"plain {name}")[0])
