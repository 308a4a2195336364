"""Base checkpoints: the first weights of a full-size voice, read safely, and refused where they are of another kind."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from models.conversion.engines import so_vits_network
from models.conversion.training import full_size_voice
from models.conversion.training.base_checkpoints import base_pair, load_base_weights
from models.core.errors import BadInput

Nets = tuple[so_vits_network.Network, so_vits_network.Network]


@pytest.fixture(autouse=True)
def small_discriminators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_size_voice, "MultiPeriodDiscriminator", lambda spectral: torch.nn.Conv1d(1, 4, 15))


def config_of() -> dict[str, Any]:
    return full_size_voice.debug_config(16)


def a_base(folder: Path, config: dict[str, Any], seed: int = 1, safe: bool = False) -> Nets:
    """Networks with weights in the layout of published checkpoints."""
    nets = full_size_voice.init_networks(config, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for letter, net in zip("GD", nets, strict=True):
        if safe:
            save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / f"{letter}_0.safetensors")
        else:
            state = {"model": net.state_dict(), "iteration": 1, "optimizer": None, "learning_rate": 1e-4}
            torch.save(state, folder / f"{letter}_0.pth")
    return nets


@pytest.mark.parametrize("safe", [False, True])
def test_base_checkpoints_are_the_first_weights(tmp_path: Path, safe: bool) -> None:
    base, ours = a_base(tmp_path, config_of(), safe=safe), full_size_voice.init_networks(config_of(), 0)
    full_size_voice.load_base_pair(*ours, tmp_path)
    for one, other in zip(base, ours, strict=True):
        state = other.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())


def test_the_last_of_several_pairs_is_taken_whatever_stands_before_its_letter(tmp_path: Path) -> None:
    for name in ("G_0.pth", "clean_G_320000.pth", "D_0.pth", "clean_D_320000.pth", "notes_G.txt"):
        (tmp_path / name).write_bytes(b"")
    pair = base_pair(tmp_path)
    assert (pair.generator.name, pair.discriminators.name) == ("clean_G_320000.pth", "clean_D_320000.pth")
    (tmp_path / "clean_D_320000.pth").unlink()
    (tmp_path / "D_0.pth").unlink()
    with pytest.raises(BadInput, match=r"holds no D_<steps>\.pth"):
        base_pair(tmp_path)
    with pytest.raises(BadInput, match=r"holds no G_<steps>\.pth"):
        base_pair(tmp_path / "elsewhere")


def test_a_base_that_describes_speakers_more_widely_still_serves(tmp_path: Path) -> None:
    wide = config_of()
    wide["model"]["gin_channels"], wide["model"]["n_speakers"] = 12, 3
    base, ours = a_base(tmp_path, wide), full_size_voice.init_networks(config_of(), 0)
    full_size_voice.load_base_pair(*ours, tmp_path)
    assert torch.equal(base[0].pre.weight, ours[0].pre.weight)
    assert ours[0].emb_g.weight.shape == (1, 4)


def test_a_wrong_base_is_refused_in_one_sentence(tmp_path: Path) -> None:
    a_base(tmp_path / "narrow", full_size_voice.debug_config(8))
    ours = full_size_voice.init_networks(config_of(), 0)
    with pytest.raises(BadInput, match=r"G_0\.pth is no base for this voice: pre\.weight is 8 x 8 x 5, and 8 x 16 x 5"):
        full_size_voice.load_base_pair(*ours, tmp_path / "narrow")
    a_base(tmp_path / "swapped", config_of())
    with pytest.raises(BadInput, match=r"D_0\.pth is no base for this voice: .* is missing"):
        load_base_weights(ours[0], tmp_path / "swapped" / "D_0.pth")
    (tmp_path / "G_0.pth").write_bytes(b"<html>not found</html>")
    with pytest.raises(BadInput, match=r"G_0\.pth"):
        load_base_weights(ours[0], tmp_path / "G_0.pth")
    torch.save({"weights": {}}, tmp_path / "G_1.pth")
    with pytest.raises(BadInput, match=r"G_1\.pth cannot be read"):
        load_base_weights(ours[0], tmp_path / "G_1.pth")


def test_a_base_that_could_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("ran",))

    ours = full_size_voice.init_networks(config_of(), 0)
    (tmp_path / "G_0.pth").write_bytes(pickle.dumps({"model": Trap()}))
    with pytest.raises(BadInput):
        load_base_weights(ours[0], tmp_path / "G_0.pth")
    torch.save({"model": {}, "trap": Trap()}, tmp_path / "G_1.pth")
    with pytest.raises(BadInput, match="run code"):
        load_base_weights(ours[0], tmp_path / "G_1.pth")
