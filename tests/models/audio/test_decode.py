from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.audio.decode import SAMPLE_RATE, decode
from models.audio.settings import IngestSettings
from models.core.errors import Cancelled
from models.core.progress import Watch
from tests.models.audio.decoding import children, refusal, samples
from tests.support.hostile import KINDS, chord, ffmpeg, sound

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_decodes_to_the_sound_it_was_made_from(tmp_path: Path, kind: str) -> None:
    decoded = samples(sound(tmp_path / f"song.{kind}"))
    reference = chord(2.0).T
    assert decoded.dtype == np.float32
    assert decoded.shape == reference.shape
    assert np.corrcoef(decoded.ravel(), reference.ravel())[0, 1] > 0.99
    assert np.std(decoded - reference) < 0.05


@pytest.mark.parametrize("sample_rate", [8000, 11025, 22050, 32000, 48000, 96000, 192_000])
def test_each_rate_comes_out_at_44100_hz_in_tune(tmp_path: Path, sample_rate: int) -> None:
    decoded = samples(sound(tmp_path / "song.wav", 2.0, sample_rate))
    assert decoded.shape[1] == pytest.approx(2 * SAMPLE_RATE, abs=2)
    reference = chord(2.0, SAMPLE_RATE).T
    inner = slice(2000, 2 * SAMPLE_RATE - 2000)
    assert np.corrcoef(decoded[0, inner], reference[0, inner])[0, 1] > 0.998


@pytest.mark.parametrize(
    ("subtype", "error"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-23), ("FLOAT", 0.0), ("DOUBLE", 0.0)],
)
def test_each_width_keeps_its_precision(tmp_path: Path, subtype: str, error: float) -> None:
    decoded = samples(sound(tmp_path / "song.wav", subtype=subtype))
    assert np.abs(decoded - chord(2.0).T).max() <= error


def test_mono_goes_to_both_channels_unchanged(tmp_path: Path) -> None:
    decoded = samples(sound(tmp_path / "song.wav", channels=1, subtype="FLOAT"))
    assert np.array_equal(decoded[0], decoded[1])
    assert np.array_equal(decoded[0], chord(2.0, channels=1)[:, 0])


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
    decoded = samples(tmp_path / f"song.{kind}")
    for side, decibels in zip(decoded, (left_db, right_db), strict=True):
        level = np.std(side) / np.std(six[:, channel])
        assert level == pytest.approx(10 ** (decibels / 20) if decibels is not None else 0.0, abs=0.01)


def test_the_fold_down_of_six_full_channels_stays_within_full_scale(tmp_path: Path) -> None:
    loud = np.repeat(np.sign(np.sin(np.arange(88200) * 0.01))[:, None], 6, axis=1) * 0.999
    soundfile.write(tmp_path / "song.wav", loud, 44100, "PCM_24")
    decoded = samples(tmp_path / "song.wav")
    assert 0.9 < np.abs(decoded).max() <= 1.0


@pytest.mark.parametrize("sample_rate", [44100, 48000])
def test_one_song_in_another_lossless_file_is_the_same_song(tmp_path: Path, sample_rate: int) -> None:
    first = sound(tmp_path / "a.wav", sample_rate=sample_rate)
    reference = samples(first)
    picture = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", picture)
    ffmpeg("-i", first, "-i", picture, "-map", "0", "-map", "1", "-disposition:v", "attached_pic", "-metadata",
           "title=Ünother", tmp_path / "b.flac")  # fmt: skip
    ffmpeg("-i", tmp_path / "b.flac", "-map", "0:a", "-write_id3v2", "1", tmp_path / "c.aiff")
    ffmpeg("-i", tmp_path / "c.aiff", "-c:a", "pcm_s24le", tmp_path / "d.wav")
    ffmpeg("-i", tmp_path / "d.wav", "-c:a", "alac", tmp_path / "e.m4a")
    for name in ("b.flac", "c.aiff", "d.wav", "e.m4a"):
        assert samples(tmp_path / name).tobytes() == reference.tobytes(), name


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
    reference = samples(sound(tmp_path / "song.wav"))
    soundfile.write(tmp_path / "rf64.wav", chord(2.0), 44100, "PCM_16", format="RF64")
    soundfile.write(tmp_path / "rifx.wav", chord(2.0), 44100, "PCM_16", endian="BIG", format="WAV")
    assert np.array_equal(samples(tmp_path / "rf64.wav"), reference)
    assert "big-endian" in refusal(tmp_path / "rifx.wav")


def test_a_song_comes_in_blocks_and_tells_how_far_it_is(tmp_path: Path) -> None:
    fractions: list[float] = []
    blocks = list(decode(sound(tmp_path / "song.flac", 8.0, 48000), watch=Watch(fractions.append)))
    assert len(blocks) > 4
    assert max(block.shape[1] for block in blocks) <= 1 << 16
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert 0.1 < fractions[0] < 0.5


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
