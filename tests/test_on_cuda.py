"""Every engine on a CUDA device: a pretended one (`tests.pretended_cuda`), and a true one where there is one (-m gpu)."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels

from models.beat_tracker import network as beat_tracker
from models.beat_tracker.hearing import hear
from models.demucs import passes
from models.demucs.load import load as load_separator
from models.demucs.load import separator_path
from models.demucs.packing import packed
from models.demucs.split import SplitSettings, split
from models.example_song import example_song
from models.grid import carried_on
from models.music_transformer import PlaySettings, accompany, extend
from models.music_transformer import network as music_transformer
from models.records import Samples, Wave
from models.registry import find, verified
from models.so_vits_svc.convert import RevoiceSettings, convert, load_voice
from models.so_vits_svc.voices import find_voice
from tests.pretended_cuda import Memory, Pretended, pretended_cuda
from tests.test_beat_tracker import FEATURES
from tests.test_demucs_split import song as noise
from tests.test_demucs_split import tiny_band_mask, tiny_htdemucs
from tests.test_music_transformer import song as score_and_grid
from tests.test_music_transformer import untrained as tiny_transformer


@pytest.fixture
def pretended() -> Iterator[Memory]:
    with pretended_cuda() as memory:
        yield memory


@pytest.fixture(params=["pretended", pytest.param("true", marks=pytest.mark.gpu)])
def tolerance(request: pytest.FixtureRequest) -> Iterator[float]:
    """How far a sample may lie from the CPU's, as a part of the loudest; meanwhile there is a CUDA device."""
    if request.param == "true":
        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device")
        yield 1e-3
    else:
        with pretended_cuda():
            yield 1e-6


def near(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    assert type(found) is type(wanted) is np.ndarray
    assert found.dtype == wanted.dtype
    assert np.abs(wanted).max() > 1e-3, "it sounds"
    np.testing.assert_allclose(found, wanted, atol=tolerance * np.abs(wanted).max(), rtol=0)


def whole(blocks: Iterator[Samples]) -> Samples:
    return np.concatenate(list(blocks), axis=-1)


def apart(network: torch.nn.Module, device: str, wave: Wave | None = None, **settings) -> Samples:
    return whole(split(wave or noise(network), network, SplitSettings(**settings), 3, device))


def tiny_bag() -> BagOfModels:
    return BagOfModels([tiny_band_mask(0), tiny_band_mask(1)], [[1, 0, 1, 2], [0, 1, 3, 1]])


def test_the_pretence_refuses_what_a_gpu_refuses(pretended):
    there, here = torch.ones(3).to("cuda"), torch.ones(3)
    assert there.is_cuda
    assert torch.equal((there + 2 * there).cpu(), 3 * here)
    for mixed in (
        lambda: there + here,
        lambda: torch.cat([there, here]),
        lambda: torch.stft(here, 2, window=there[:2], return_complex=True),
        lambda: torch.nn.Linear(3, 3)(there),
        lambda: torch.nn.Linear(3, 3).to("cuda")(here),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()
    with pytest.raises(RuntimeError, match="random numbers"):
        torch.randn(3, device="cuda", generator=torch.Generator())


def test_the_pretences_memory_ends_and_comes_back(pretended):
    pretended.total = 1000
    kept = torch.zeros(200, device="cuda")
    assert torch.cuda.mem_get_info() == (200, 1000)
    with pytest.raises(torch.OutOfMemoryError):
        kept + 1
    kept[:10].add_(1)  # a view takes nothing
    del kept
    assert torch.cuda.mem_get_info() == (1000, 1000)


def test_a_window_left_on_the_cpu_is_caught(pretended):
    network = tiny_band_mask()
    del network._buffers["window"]
    network.window = torch.hann_window(4096)
    with pytest.raises(RuntimeError, match="same device"):
        apart(network, "cuda")


@pytest.mark.parametrize("make", [tiny_htdemucs, tiny_band_mask, tiny_bag])
def test_a_song_is_taken_apart_as_on_the_cpu(make, tolerance):
    near(apart(make(), "cuda", shifts=1), apart(make(), "cpu", shifts=1), tolerance)


@pytest.mark.parametrize("make", [tiny_htdemucs, tiny_band_mask])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_stays_within_two_percent(make, precision, tolerance):
    exact, found = apart(make(), "cpu"), apart(make(), "cuda", precision=precision)
    near(found, exact, 0.02)
    assert not np.array_equal(found, exact), "it was reduced"


@pytest.mark.weights
@pytest.mark.parametrize("kind", ["separator", "vocal_splitter"])
def test_the_shipped_separators_give_what_they_give_on_the_cpu(kind, tolerance):
    path = separator_path("band-mask") if kind == "separator" else verified(find(kind, "lead-backing"))
    wave = Wave(example_song(seconds=4.0).mix.samples, 44_100)
    one, other = (apart(load_separator(path, device), device, wave) for device in ("cuda", "cpu"))
    near(one, other, tolerance)
