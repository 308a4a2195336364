import json
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.states import load_model
from safetensors.torch import save_file

from models.core import registry
from models.core.errors import BadInput
from models.core.types import Wave
from models.separation.checkpoints import load, save, separator_path, to_fetch
from models.separation.networks.band_mask import BandMask
from models.separation.separate import split
from models.separation.settings import SeparateSettings

SOURCES = ["drums", "bass", "other", "vocals"]


def tiny(seed: int = 0) -> BandMask:
    torch.manual_seed(seed)
    return BandMask(SOURCES, width=16, depth=2).eval()


def package(klass, network, **kwargs) -> dict:
    return {"klass": klass, "args": [], "kwargs": kwargs, "state": network.state_dict()}


def test_what_was_saved_comes_back_in_float32(tmp_path):
    network, file = tiny(), tmp_path / "tiny.safetensors"
    save(network, file)
    again = load(file)
    wave = 0.1 * torch.randn(1, 2, 20000, generator=torch.Generator().manual_seed(1))
    assert again.sources == SOURCES
    assert not again.training
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    torch.testing.assert_close(again(wave), network(wave), atol=2e-4, rtol=0)


def test_demucs_own_loaders_take_our_class(tmp_path):
    network, file = tiny(), tmp_path / "tiny.safetensors"
    save(network, file)
    assert load_safetensors_model(file).sources == SOURCES
    torch.save(package(BandMask, network, sources=SOURCES, width=16, depth=2), tmp_path / "tiny.th")
    assert load_model(tmp_path / "tiny.th").width == 16


def hdemucs() -> HDemucs:
    return HDemucs(SOURCES, channels=4, depth=4, nfft=512, hybrid_old=False)


def test_demucs_own_files_load(tmp_path):
    network = hdemucs()
    kwargs = {"sources": SOURCES, "channels": 4, "depth": 4, "nfft": 512, "gone_parameter": 1}
    torch.save(package(HDemucs, network, **kwargs, segment=Fraction(39, 5)), tmp_path / "h.th")
    assert load(tmp_path / "h.th").sources == SOURCES
    fraction = {"_type": "fraction", "numerator": 39, "denominator": 5}
    metadata = {"klass": "demucs.hdemucs.HDemucs", "args": "[]", "kwargs": json.dumps(kwargs | {"segment": fraction})}
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "h.safetensors", metadata)
    assert load(tmp_path / "h.safetensors").segment == Fraction(39, 5)


def test_a_class_off_the_list_is_never_imported(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    metadata = {"klass": "evil.Network", "args": "[]", "kwargs": "{}"}
    save_file({"a": torch.zeros(1)}, tmp_path / "evil.safetensors", metadata)
    with pytest.raises(BadInput, match=r"evil\.Network"):
        load(tmp_path / "evil.safetensors")


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("bomb-went-off"),))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_runs_code_is_refused(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    torch.save({"klass": Bomb(), "args": [], "kwargs": {}, "state": {}}, "evil.th", pickle_protocol=protocol)
    with pytest.raises(BadInput, match="refused"):
        load(Path("evil.th"))
    Path("plain.th").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(BadInput, match="refused"):
        load(Path("plain.th"))
    assert not Path("bomb-went-off").exists()


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.onnx", b"x", "must end"),
        ("a.safetensors", b"", "safetensors"),
        ("a.safetensors", b"\xff" * 64, "too large"),
        ("a.safetensors", (2).to_bytes(8, "little") + b"{}", "safetensors"),
        ("a.th", b"not a checkpoint", "refused"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=word):
        load(tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path):
    save(tiny(), tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="not a whole"):
        load(tmp_path / "a.safetensors")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    state = hdemucs().state_dict()
    kwargs = {"sources": SOURCES, "channels": 8, "depth": 4, "nfft": 512, "hybrid_old": False}
    torch.save({"klass": HDemucs, "args": [], "kwargs": kwargs, "state": state}, tmp_path / "a.th")
    with pytest.raises(BadInput, match="do not fit"):
        load(tmp_path / "a.th")


def described(path: Path, **changes: object) -> Path:
    """A safetensors file without tensors, of which only the description of the network is read; values as given."""
    metadata = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": "{}"} | changes
    head = json.dumps({"__metadata__": changes.get("whole", metadata)}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    return path


NO_FRACTION = '{"sources": ["vocals", "other"], "segment": {"_type": "fraction", "numerator": 1, "denominator": 0}}'


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"whole": [1, 2]}, "not text by name"),
        ({"whole": None}, "not text by name"),
        ({"klass": ["a"]}, "not text by name"),
        ({"args": 5}, "not text by name"),
        ({"args": "5"}, "args has to be a list"),
        ({"args": "nothing"}, "not a whole separator"),
        ({"args": "[" * 100_000}, "not a whole separator"),
        ({"kwargs": "[]"}, "kwargs and the weights have to go by names"),
        ({"kwargs": NO_FRACTION}, "not a whole separator"),
        ({"kwargs": NO_FRACTION.replace("0}", '"a"}')}, "not a whole separator"),
        ({"kwargs": NO_FRACTION.replace("denominator", "below")}, "not a whole separator"),
        ({"kwargs": '{"sources": ["a"], "depth": 0}'}, "do not fit"),
        ({"kwargs": '{"sources": 5}', "klass": "models.separation.networks.band_mask.BandMask"}, "do not fit"),
        ({"kwargs": "{}"}, "do not fit"),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path, changes, says):
    with pytest.raises(BadInput, match=says) as refused:
        load(described(tmp_path / "a.safetensors", **changes))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("segment", [0, -1.0, 0.001, 1e9, float("inf"), float("nan"), None, "8"])
def test_a_segment_that_is_no_length_is_refused(tmp_path, segment):
    network = tiny()
    network.segment = segment
    save(network, tmp_path / "a.safetensors")
    with pytest.raises(BadInput, match=r"they must last 0\.1 to 600 s"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    network = tiny()
    network.enter.bias.data[3] = value
    save(network, tmp_path / "a.safetensors")
    with pytest.raises(BadInput, match=r"weights that are not numbers, in enter\.bias"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"args": 5}, "args has to be a list"),
        ({"kwargs": []}, "kwargs and the weights have to go by names"),
        ({"state": [1]}, "kwargs and the weights have to go by names"),
        ({"state": {"a": 1}}, "do not fit"),
        ({"klass": ["HDemucs"]}, "which is not a separator"),
    ],
)
def test_a_checkpoint_of_the_wrong_shape_is_refused(tmp_path, changes, says):
    torch.save(package(HDemucs, hdemucs(), sources=SOURCES, channels=4, depth=4, nfft=512) | changes, tmp_path / "a.th")
    with pytest.raises(BadInput, match=says):
        load(tmp_path / "a.th")


class Call:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_refused_checkpoint_gets_the_project_s_own_message(tmp_path):
    path = tmp_path / "evil.th"
    torch.save({"klass": Call(), "args": [], "kwargs": {}, "state": {}}, path)
    with pytest.raises(BadInput) as refused:
        load(path)
    said = f"{path} cannot be read without running code in it, so it is refused: it asks for "
    assert str(refused.value).startswith(said)
    assert str(refused.value).removeprefix(said).split(".")[-2:] == ["print", ""]


def test_a_missing_bag_is_named(monkeypatch, tmp_path):
    assert registry.manifest()
    monkeypatch.setattr(registry, "SHIPPED", tmp_path)
    with pytest.raises(BadInput, match=r"htdemucs_ft\.yaml, which comes with the project, is missing"):
        to_fetch("htdemucs_ft")


def test_separators_are_resolved_by_name_or_file(tmp_path):
    own = tmp_path / "mine.safetensors"
    own.touch()
    assert separator_path(str(own)) == own
    with pytest.raises(BadInput, match="no separator file"):
        separator_path(str(tmp_path / "yours.th"))
    with pytest.raises(BadInput, match="no separator named"):
        separator_path("band-mosk")


def official(network: HTDemucs, kwargs: dict, path: Path) -> None:
    """Write a network as the hub's own export does: half precision, and its class and arguments as JSON."""
    metadata = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": json.dumps(kwargs)}
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, path, metadata)


def test_a_bag_in_the_official_layout(tmp_path, monkeypatch):
    kwargs = {"sources": SOURCES, "channels": 8, "t_layers": 1, "t_heads": 2, "bottom_channels": 16, "samplerate": 8000}
    half = {"_type": "fraction", "numerator": 1, "denominator": 2}
    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    rows = {}
    for part in to_fetch("htdemucs_ft"):
        torch.manual_seed(len(rows))
        network = HTDemucs(**kwargs, segment=Fraction(1, 2))
        part.path.parent.mkdir(parents=True, exist_ok=True)
        official(network, kwargs | {"segment": half}, part.path)
        rows[part.name] = replace(part, sha256=registry.file_digest(part.path), bytes=part.path.stat().st_size)
    result = tuple(rows.get(w.name, w) for w in registry.manifest())
    monkeypatch.setattr(registry, "manifest", lambda: result)
    bag = load(separator_path("htdemucs_ft"))
    wave = Wave(0.1 * np.random.default_rng(0).standard_normal((2, 6000)).astype(np.float32), 8000)
    parts = np.concatenate(list(split(wave, bag, SeparateSettings(), 0, "cpu")), axis=2)
    vocals = np.concatenate(list(split(wave, bag.models[3], SeparateSettings(), 0, "cpu")), axis=2)
    np.testing.assert_allclose(parts[3], vocals[3], atol=1e-5)
    assert not np.allclose(parts[0], vocals[0], atol=1e-5)


def test_what_must_be_fetched():
    assert to_fetch("band-mask") == ()
    assert [w.bytes for w in to_fetch("htdemucs")] == [84025440]
    parts = to_fetch("htdemucs_ft")
    listed = yaml.safe_load(registry.find("separator", "htdemucs_ft").path.read_text())["sha256"]
    assert {w.name: w.sha256 for w in parts} == listed


def test_an_official_network_that_was_not_fetched_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    with pytest.raises(BadInput, match="weights fetch htdemucs"):
        separator_path("htdemucs")
