import numpy as np
import torch

from models.core.types import Wave
from models.separation.checkpoints import load, save, separator_path
from models.separation.networks.mask_cnn import BLOCK, HOP, MaskCnn, block
from models.separation.separate import split
from models.separation.settings import SeparateSettings
from models.separation.training import mask_cnn
from models.separation.training.mixtures import Example


def network() -> MaskCnn:
    torch.manual_seed(0)
    return MaskCnn(segment=2.0, hold=50).eval()


def test_has_the_parameters_of_the_design():
    assert sum(p.numel() for p in network().parameters()) == 5_378_465


def test_a_block_is_cut_around_its_middle():
    frames = torch.arange(300.0).expand(1, 1025, 300)
    assert block(frames, 120)[0, 0].tolist() == list(range(70, 170))
    assert block(frames, 10)[0, 0, :40].sum() == 0
    assert block(frames, 10)[0, 0, 40:].tolist() == list(range(60))
    assert block(frames, 290).shape == (1, 1025, BLOCK)


def test_voice_and_rest_are_the_mix_and_the_voice_is_on_both_sides():
    mix = torch.randn(1, 2, 30 * HOP + 17, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        parts = network()(mix)
    assert parts.shape == (1, 2, 2, mix.shape[-1])
    torch.testing.assert_close(parts.sum(dim=1), mix)
    torch.testing.assert_close(parts[:, 1, 0], parts[:, 1, 1])
    assert parts[:, 1].abs().max() > 0


def test_the_mask_is_binary():
    magnitudes = torch.rand(1, 1025, 60, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mask = network().mask(magnitudes)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask.shape == magnitudes.shape


def test_learns_where_the_voice_is_louder():
    low = np.sin(2 * np.pi * 500 * np.arange(110 * HOP) / 44100).astype(np.float32)
    high = np.sin(2 * np.pi * 5000 * np.arange(110 * HOP) / 44100).astype(np.float32)
    mix = np.stack([np.stack([low, low]), np.stack([high, high])])
    _, truth = mask_cnn.blocks_of(network(), [Example(mix, False)])
    per_bin = 44100 / 2048
    assert truth[:, round(5000 / per_bin)].min() == 1
    assert truth[:, round(500 / per_bin)].max() == 0


def test_one_step_lowers_the_loss():
    net = network()
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 2, 40 * HOP)).astype(np.float32)
    batch = mask_cnn.blocks_of(net, [Example(noise, False)])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    first = mask_cnn.loss(net, "float32", batch)
    first.backward()
    optimizer.step()
    with torch.no_grad():
        assert mask_cnn.loss(net, "float32", batch) < first


def test_saved_and_split_like_any_separator(tmp_path):
    save(network(), tmp_path / "mask-cnn.safetensors")
    again = load(tmp_path / "mask-cnn.safetensors")
    wave = Wave(0.1 * np.random.default_rng(0).standard_normal((2, 100_000)).astype(np.float32), 44100)
    parts = np.concatenate(list(split(wave, again, SeparateSettings(), 0, "cpu")), axis=2)
    np.testing.assert_allclose(parts.sum(axis=0), wave.samples, atol=1e-5)


def test_the_shipped_one_is_a_separator_by_name():
    shipped = load(separator_path("mask-cnn"))
    mix = np.random.default_rng(0).normal(0, 0.1, (2, 44_100)).astype(np.float32)
    parts = np.concatenate(list(split(Wave(mix, 44_100), shipped, SeparateSettings(), 0, "cpu")), axis=2)
    assert sum(p.numel() for p in shipped.parameters()) == 5_378_465
    np.testing.assert_allclose(parts.sum(axis=0), mix, atol=1e-5)
