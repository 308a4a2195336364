"""Several songs through one network at the same time."""

import threading
import time

import numpy as np
import pytest
import torch

from models.core.types import Wave
from models.separation.batching import BatchedNetwork, batched
from models.separation.checkpoints import load, separator_path
from models.separation.separate import split
from models.separation.settings import SeparateSettings


def song(seed: int, seconds: float) -> Wave:
    return Wave(
        np.random.default_rng(seed).standard_normal((2, int(44_100 * seconds))).astype(np.float32) * 0.1, 44_100
    )


@pytest.mark.weights
def test_songs_separated_together_take_fewer_passes_and_come_out_the_same():
    network = load(separator_path("band-mask"))
    songs = [song(1, 5.0), song(2, 4.0), song(3, 2.0)]
    alone = [np.concatenate(list(split(one, network, SeparateSettings(), 0, "cpu")), 2) for one in songs]
    together: list[np.ndarray | None] = [None] * 3
    shared = batched(network)
    assert isinstance(shared, BatchedNetwork)
    ready = threading.Barrier(3)

    def separate(index: int) -> None:
        ready.wait()
        together[index] = np.concatenate(list(split(songs[index], shared, SeparateSettings(), 0, "cpu")), 2)

    threads = [threading.Thread(target=separate, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        assert other is not None
        np.testing.assert_allclose(other, one, atol=1e-4)


class Slow(torch.nn.Module):
    """Doubles; notes how many segments each pass had, and waits for the test before the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.go = threading.Event()

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        self.go.wait(30)
        self.sizes.append(len(mix))
        if mix.shape[-1] == 7:
            raise ValueError("seven")
        return 2 * mix[:, None]


def test_what_waits_together_is_one_pass_of_one_length_and_a_fault_is_of_its_own_callers():
    network = Slow()
    shared = BatchedNetwork(network, max_segments=4)
    result: dict[int, object] = {}

    def ask(index: int, frames: int) -> None:
        try:
            result[index] = shared(torch.full((1, 2, frames), float(index)))
        except ValueError as error:
            result[index] = error

    lengths = [5, 5, 5, 5, 7, 5, 5]
    threads = [threading.Thread(target=ask, args=(index, frames)) for index, frames in enumerate(lengths)]
    threads[0].start()
    while not shared._pass_lock.locked():
        time.sleep(0.01)
    for thread in threads[1:]:
        thread.start()
    while len(shared._queue) < 6:
        time.sleep(0.01)
    network.go.set()
    for thread in threads:
        thread.join()
    assert sorted(network.sizes) == [1, 1, 1, 4]
    assert shared.passes == 3
    for index, frames in enumerate(lengths):
        if frames == 7:
            assert isinstance(result[index], ValueError)
        else:
            assert torch.equal(result[index], torch.full((1, 1, 2, frames), 2.0 * index))
