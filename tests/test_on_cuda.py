"""Every engine on a CUDA device: a pretended one (`tests.support.simulated_cuda`), and with -m gpu a true one."""

import json
import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from queue import SimpleQueue

import numpy as np
import pytest
import soundfile
import torch
from demucs.apply import BagOfModels

import tasks.stages.separate
from models.analysis.beat_tracker import network as beat_tracker
from models.analysis.beat_tracker.inference import predict
from models.audio.encode import write_wav
from models.conversion.convert import convert, load_voice
from models.conversion.settings import ConvertSettings
from models.conversion.voices.registry import find_voice
from models.core.registry import find, verified
from models.core.types import Samples, Wave
from models.generation import GenerateSettings, Sampler, accompany, extend
from models.generation import network as music_transformer
from models.separation import overlap_add
from models.separation.batching import batched
from models.separation.checkpoints import load as load_separator
from models.separation.checkpoints import separator_path
from models.separation.separate import split
from models.separation.settings import SeparateSettings
from models.symbolic.beat_map import extend_grid
from models.synthesis.example_song import example_song
from tasks.cache.store import Store
from tasks.engine.engine import _Call, _for_several, take_turns
from tasks.engine.networks import NETWORKS, Networks
from tests.models.analysis.test_beat_tracker import FEATURES
from tests.models.generation.test_generate import song as score_and_grid
from tests.models.generation.test_generate import untrained as tiny_transformer
from tests.models.separation.test_separate import song as noise
from tests.models.separation.test_separate import tiny_band_mask, tiny_htdemucs
from tests.support.simulated_cuda import Memory, pretended_cuda


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
    return whole(split(wave or noise(network), network, SeparateSettings(**settings), 3, device))


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


def test_a_batch_too_big_for_the_device_is_halved_until_it_fits(pretended):
    network, wave = tiny_band_mask(), noise(tiny_band_mask(), 7.0)
    sizes, plain = [], network.forward

    def watched(mix):
        sizes.append(len(mix))
        return plain(mix)

    network.forward = watched
    pretended.total = 1 << 35
    roomy = apart(network, "cuda", wave, batch=0)
    assert max(sizes) == 16, "no more than 16 however much there is"
    most = pretended.most
    sizes.clear()
    pretended.total, pretended.most = most // 3, 0
    near(apart(network, "cuda", wave, batch=16), roomy, 1e-5)
    assert sizes[:3] == [16, 8, 4]
    assert len(pretended.emptied) == 2
    assert max(pretended.emptied) < most / 30, "what the failed try had filled was free by then"
    assert overlap_add._batch_that_fits(network, "cuda") == 1


def together(network: torch.nn.Module, settings: list[SeparateSettings], wave: Wave) -> list[Samples]:
    """The song taken apart by several threads at once, each with settings of its own."""
    found: list[Samples] = [np.zeros(0, np.float32)] * len(settings)
    ready = threading.Barrier(len(settings))

    def one(place: int) -> None:
        ready.wait()
        found[place] = whole(split(wave, network, settings[place], 0, "cuda"))

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(settings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_songs_that_share_passes_keep_their_own_precision(tolerance):
    wave = noise(tiny_band_mask(), 3.0)
    settings = [SeparateSettings(), SeparateSettings(precision="bfloat16")] * 2
    exact = apart(tiny_band_mask(), "cuda", wave)
    for one, found in zip(settings, together(batched(tiny_band_mask()), settings, wave), strict=True):
        off = np.abs(found - exact).max() / np.abs(exact).max()
        assert off < 10 * tolerance if one.precision == "float32" else 10 * tolerance < off < 0.02


def test_songs_that_fit_one_by_one_only_are_separated_all_the_same(pretended):
    network, wave = tiny_band_mask(), noise(tiny_band_mask(), 2.0)
    pretended.total, pretended.most = 1 << 33, 0
    alone = apart(network, "cuda", wave)
    pretended.total = int(1.5 * pretended.most)
    for found in together(batched(network), [SeparateSettings()] * 4, wave):
        near(found, alone, 1e-5)


@pytest.mark.weights
@pytest.mark.usefixtures("home")
def test_the_engine_loads_a_separator_once_and_songs_that_wait_together_share_its_passes(tolerance, monkeypatch):
    loaded: list[str] = []
    networks = Networks(on_load=[loaded.append], prepared=_for_several)
    monkeypatch.setattr(tasks.stages.separate, "NETWORKS", networks)
    audio = Store().put([example_song(seconds=4.0).mix.samples], 44_100)
    wanted = {"audio": audio, "separator": "band-mask", "settings": SeparateSettings(), "seed": 0, "device": "cuda"}
    calls: SimpleQueue[_Call] = SimpleQueue()
    pipes = [Pipe() for _ in range(2)]
    asked = [_Call(engines, "separate", wanted) for _, engines in pipes]
    for call in asked:
        calls.put(call)
    threading.Thread(target=take_turns, args=(calls, None), daemon=True).start()
    found = [call.answer.result(timeout=120) for call in asked]
    assert loaded == ["band-mask"]
    plain = tasks.stages.separate.separate.fn(**wanted | {"device": "cpu"})
    for stems in found:
        near(
            Store().source(stems.vocals).read(0, audio.frames),
            Store().source(plain.vocals).read(0, audio.frames),
            tolerance,
        )


@pytest.mark.weights
@pytest.mark.parametrize("voice", ["lj", "knn", "world"])
def test_a_voice_sings_what_it_sings_on_the_cpu(voice, tolerance):
    song = example_song(seconds=4.0)
    lead = Wave(song.stems["lead_vocals"].samples, song.mix.sample_rate)
    one, other = (
        whole(convert(lead, load_voice(find_voice(voice), device), ConvertSettings(), 0, device))
        for device in ("cuda", "cpu")
    )
    near(one, other, 10 * tolerance)


def played(network: Callable[[], torch.nn.Module], device: str) -> list[object]:
    """A band for a song, the song carried on, and carried on by a band with another instrument in it."""
    score, grid = score_and_grid(2)
    longer, start, _ = extend_grid(grid, score.end_s, 1)
    joined = GenerateSettings(tracks=("drums", "bass", "strings"))
    return [
        accompany(score.track("melody"), grid, score.end_s, Sampler(network(), GenerateSettings(), 1, device)),
        extend(score, longer, start, 1, Sampler(network(), GenerateSettings(), 1, device)),
        extend(score, longer, start, 1, Sampler(network(), joined, 1, device)),
    ]


@pytest.mark.parametrize("positions", ["rotary", "relative"])
def test_the_same_notes_are_written_as_on_the_cpu(positions, tolerance):
    def network():
        return tiny_transformer(positions=positions)

    assert played(network, "cuda") == played(network, "cpu")


@pytest.mark.weights
def test_the_shipped_transformer_writes_the_same_notes(tolerance):
    path = verified(find("music_transformer", "small"))
    one, other = (
        played(lambda device=device: music_transformer.load(path, device), device) for device in ("cuda", "cpu")
    )
    assert one == other


@pytest.mark.weights
def test_beats_are_heard_as_on_the_cpu(tolerance):
    given = np.random.default_rng(0).random((1500, FEATURES)).astype(np.float16)
    path = verified(find("beat_tracker", "small"))
    one, other = (predict(given, beat_tracker.load(path, device)) for device in ("cuda", "cpu"))
    near(one, other, tolerance)


@pytest.mark.weights
@pytest.mark.usefixtures("prefect_server")
def test_a_whole_remix_is_made_on_the_device(tmp_path, monkeypatch, tolerance):
    from flows import devices
    from flows.remix import remix

    monkeypatch.setattr(devices, "ROCM", tmp_path)  # torch is asked, though there may be no driver
    song = tmp_path / "a song.wav"
    write_wav(example_song(seconds=4.0).mix, song)
    mixes = []
    for device in ("auto", "cpu"):
        monkeypatch.setenv("REMIX_HOME", str(tmp_path / device))
        made = remix(song=song, out=tmp_path / device / "out", outro_bars=1, device=device)
        said = json.loads((made.folder / "manifest.json").read_text())["settings"]["device"]
        assert said == ("cpu" if device == "cpu" else "cuda")
        mixes.append(soundfile.read(made.folder / "mix.wav", dtype="float32")[0])
    NETWORKS._kept.clear()
    near(*mixes, max(100 * tolerance, 1e-4))
