import numpy as np
import pytest

from models.core.errors import BadInput
from models.core.types import Samples, Wave
from tasks.cache.store import Damaged, Store


def noise(frames: int = 100_000, channels: int = 2) -> Samples:
    return np.random.default_rng(0).standard_normal((channels, frames)).astype(np.float32)


def test_what_is_put_is_read_back_exactly_and_zero_outside(home):
    samples = noise()
    clip = Store().put([samples[:, :70_001], samples[:, 70_001:]], 44_100)
    source = Store().source(clip)
    assert (clip.sample_rate, clip.channels, clip.frames) == (44_100, 2, 100_000)
    np.testing.assert_array_equal(source.read(0, clip.frames), samples)
    np.testing.assert_array_equal(source.read(-3, 5), Wave(samples, 44_100).read(-3, 5))
    np.testing.assert_array_equal(source.read(99_990, 100_010)[:, 10:], 0)


def test_a_clip_is_its_sound_rate_and_channels_whatever_the_blocks(home):
    samples = noise()
    whole, cut = Store().put([samples], 44_100), Store().put(np.array_split(samples, 7, axis=1), 44_100)
    assert whole == cut
    assert Store().put([samples], 48_000).sha256 != whole.sha256
    assert Store().put([samples.reshape(1, -1)], 44_100).sha256 != whole.sha256


def test_clips_put_together_are_the_clips_put_alone(home):
    samples = noise()
    together = Store().put_together([np.stack([samples, -samples])], 44_100)
    assert together == (Store().put([samples], 44_100), Store().put([-samples], 44_100))


@pytest.mark.parametrize("harm", ["flip", "truncate", "delete", "empty", "extend"])
def test_damage_is_noticed(home, harm):
    clip = Store().put([noise()], 44_100)
    Store().check(clip)
    path = Store().path(clip)
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
    path.unlink()
    if harm != "delete":
        path.write_bytes({"truncate": content[:-9], "empty": b"", "extend": content + b"x"}.get(harm, bytes(content)))
    if harm == "extend":  # samples beyond the clip's end are not part of it
        Store().check(clip)
    else:
        with pytest.raises(Damaged):
            Store().check(clip)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused_and_leave_nothing(home, bad):
    samples = noise()
    samples[1, 500] = bad
    with pytest.raises(ValueError, match="finite"):
        Store().put([noise(), samples], 44_100)
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_stopped_writer_leaves_nothing(home):
    def blocks():
        yield noise()
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        Store().put(blocks(), 44_100)
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_store_that_cannot_be_written_is_one_sentence(home):
    home.mkdir()
    (home / "tmp").write_text("in the way")
    with pytest.raises(BadInput, match="cannot be written"):
        Store().put([noise()], 44_100)
