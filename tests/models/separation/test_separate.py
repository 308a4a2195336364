import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.htdemucs import HTDemucs
from torch import nn

from models.core.errors import BadInput, Cancelled
from models.core.progress import Watch
from models.core.types import Wave
from models.separation.checkpoints import load, separator_path
from models.separation.evaluation.metrics import sdr_db
from models.separation.evaluation.songs import synthetic_song
from models.separation.networks.band_mask import BandMask
from models.separation.separate import split
from models.separation.settings import SeparateSettings, SplitVocalsSettings

SOURCES = ["drums", "bass", "other", "vocals"]
PLAIN = SeparateSettings()


def tiny_htdemucs() -> nn.Module:
    torch.manual_seed(0)
    network = HTDemucs(
        SOURCES, channels=8, t_layers=1, t_heads=2, bottom_channels=16, segment=Fraction(1, 2), samplerate=8000
    )
    return network.eval()


def tiny_wiener() -> BandMask:
    torch.manual_seed(0)
    return BandMask(SOURCES, width=16, depth=2, segment=0.5, temperature=1.25, wiener=True).eval()


def tiny_band_mask(seed: int = 0) -> BandMask:
    torch.manual_seed(seed)
    return BandMask(SOURCES, width=16, depth=2, segment=0.5).eval()


def song(network: nn.Module, seconds: float = 1.7) -> Wave:
    rate = int(network.samplerate)
    noise = np.random.default_rng(1).standard_normal((2, int(seconds * rate))).astype(np.float32)
    return Wave(0.2 * noise, rate)


def whole(wave: Wave, network: nn.Module, settings: SeparateSettings = PLAIN, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(split(wave, network, settings, seed, "cpu")), axis=2)


@pytest.mark.parametrize("make", [tiny_htdemucs, tiny_band_mask, tiny_wiener])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_equals_demucs_own_overlap_add(make, overlap):
    network = make()
    wave = song(network)
    theirs = apply_model(network, torch.from_numpy(wave.samples)[None], shifts=0, overlap=overlap)[0]
    ours = whole(wave, network, SeparateSettings(overlap=overlap))
    assert ours.dtype == np.float32
    assert ours.shape == (4, 2, wave.frames)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    assert np.abs(ours).max() > 1e-3


def test_equals_demucs_own_shifts(monkeypatch):
    network = tiny_htdemucs()
    wave = song(network)
    longest = network.samplerate // 2
    rng = np.random.default_rng(7)
    drawn = [int(rng.integers(0, longest + 1)) for _ in range(2)]
    given = iter(drawn)
    monkeypatch.setattr(random, "randint", lambda low, high: next(given))
    theirs = apply_model(network, torch.from_numpy(wave.samples)[None], shifts=2)[0]
    np.testing.assert_allclose(whole(wave, network, SeparateSettings(shifts=2), seed=7), theirs.numpy(), atol=1e-5)


def test_equals_demucs_own_bag():
    bag = BagOfModels([tiny_band_mask(0), tiny_band_mask(1)], [[1, 0, 1, 2], [0, 1, 3, 1]])
    wave = song(bag.models[0])
    theirs = apply_model(bag, torch.from_numpy(wave.samples)[None], shifts=0)[0]
    np.testing.assert_allclose(whole(wave, bag), theirs.numpy(), atol=1e-5)


def test_batches_do_not_change_the_sound():
    network = tiny_band_mask()
    wave = song(network, 2.3)
    np.testing.assert_allclose(whole(wave, network, SeparateSettings(batch=3)), whole(wave, network), atol=1e-5)


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    network = tiny_band_mask()
    wave = song(network)
    before = wave.samples.copy()
    state = random.getstate()
    one, two, other = (whole(wave, network, SeparateSettings(shifts=1), seed) for seed in (3, 3, 4))
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()
    assert wave.samples.tobytes() == before.tobytes()
    assert random.getstate() == state


def test_blocks_follow_each_other_and_stay_short():
    network = tiny_band_mask()
    wave = song(network, 5.0)
    lengths = [block.shape[2] for block in split(wave, network, SeparateSettings(), 0, "cpu")]
    assert sum(lengths) == wave.frames
    assert max(lengths) <= network.segment * network.samplerate


class Counted(Wave):
    """A wave that keeps count of how far it was read."""

    furthest = 0

    def read(self, start, stop):
        type(self).furthest = max(self.furthest, stop)
        return super().read(start, stop)


def test_reads_no_further_than_it_has_to():
    network = tiny_band_mask()
    wave = Counted(song(network, 5.0).samples, network.samplerate)
    next(split(wave, network, SeparateSettings(), 0, "cpu"))
    assert 0 < Counted.furthest <= 2 * network.segment * network.samplerate


def test_reports_each_segment_and_stops_when_asked():
    network = tiny_band_mask()
    wave = song(network, 3.0)
    reported: list[float] = []
    list(split(wave, network, SeparateSettings(), 0, "cpu", Watch(reported.append)))
    assert reported == sorted(reported)
    assert reported[-1] == 1.0
    assert len(reported) > 5
    stop_soon = Watch(cancelled=lambda: len(reported) > 12, progress=reported.append)
    with pytest.raises(Cancelled):
        list(split(wave, network, SeparateSettings(), 0, "cpu", stop_soon))


def test_a_source_too_big_for_memory_is_halved(monkeypatch):
    network = tiny_band_mask()
    sizes = []
    plain = network.forward

    def tight(mix):
        sizes.append(len(mix))
        if len(mix) > 1:
            raise torch.OutOfMemoryError("no room")
        return plain(mix)

    wave = song(network)
    expected = whole(wave, network)
    monkeypatch.setattr(network, "forward", tight)
    np.testing.assert_allclose(whole(wave, network, SeparateSettings(batch=4)), expected, atol=1e-5)
    assert sizes[:3] == [4, 2, 1] or sizes[:2] == [3, 1]


@pytest.mark.parametrize("kind", [SeparateSettings, SplitVocalsSettings])
@pytest.mark.parametrize(
    "wrong",
    [
        {"overlap": 0.99999999},
        {"overlap": -0.1},
        {"overlap": float("nan")},
        {"shifts": 1_000_000},
        {"batch": -1},
        {"precision": "int4"},
    ],
)
def test_refuses_settings_it_cannot_use(kind, wrong):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        kind(**wrong)


def test_float16_is_refused_on_a_cpu():
    network = tiny_band_mask()
    with pytest.raises(BadInput, match="float16 is for a GPU only"):
        list(split(song(network), network, SeparateSettings(precision="float16"), 0, "cpu"))


def test_a_precision_that_was_not_resolved_reaches_no_network():
    network = tiny_band_mask()
    with pytest.raises(ValueError, match="part of the key"):
        list(split(song(network), network, SeparateSettings(precision="auto"), 0, "cpu"))


def test_refuses_another_rate():
    with pytest.raises(BadInput, match="44100 Hz"):
        list(split(Wave(np.zeros((2, 100), np.float32), 48000), tiny_band_mask(), SeparateSettings(), 0, "cpu"))


@pytest.mark.parametrize("make", [tiny_band_mask, tiny_wiener])
def test_bfloat16_stays_near_full_precision(make):
    network = make()
    wave = song(network)
    full, half = whole(wave, network), whole(wave, network, SeparateSettings(precision="bfloat16"))
    assert 0 < np.square(full - half).sum() < 1e-4 * np.square(full).sum()


@pytest.mark.weights
def test_the_shipped_separator_loses_next_to_nothing_in_bfloat16():
    network, reference = load(separator_path("band-mask")), synthetic_song(0, 8.0)
    reported = Wave(reference.sum(axis=0), 44100)
    full, half = whole(reported, network), whole(reported, network, SeparateSettings(precision="bfloat16"))
    for stem, exact, result in zip(reference, full, half, strict=True):
        assert 40 < sdr_db(exact, result) < 90, "the difference is below -40 dB, and there is one"
        assert abs(sdr_db(stem, exact) - sdr_db(stem, result)) < 0.05
