import numpy as np
import pytest
import torch

from models.separation.networks.band_mask import BandMask, group_sizes, grouped_product, view_powers

SOURCES = ["drums", "bass", "other", "vocals"]


def network(**changes) -> BandMask:
    torch.manual_seed(0)
    return BandMask(SOURCES, width=16, depth=2, **changes).eval()


def noise(frames: int = 30_001) -> torch.Tensor:
    return 0.1 * torch.randn(2, 2, frames, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("frames", [30_001, 1024, 1, 5000])
def test_the_sources_sum_to_the_mix(frames):
    mix = noise(frames)
    with torch.no_grad():
        parts = network()(mix)
    assert parts.shape == (2, 4, 2, frames)
    torch.testing.assert_close(parts.sum(dim=1), mix, atol=1e-6, rtol=0)


def test_the_masks_do_not_depend_on_loudness():
    net, mix = network(), noise()
    with torch.no_grad():
        torch.testing.assert_close(net(8 * mix), 8 * net(mix), atol=1e-4, rtol=0)


def test_silence_gives_silence():
    with torch.no_grad():
        assert network()(torch.zeros(1, 2, 9000)).abs().max() == 0


def test_groups_are_means_over_their_bins():
    spectrum = network().stft(noise())
    power = spectrum.abs().square()
    groups = grouped_product(spectrum, spectrum)
    at = 0
    for index, size in enumerate(group_sizes()):
        if index in (0, 399, 400, 555, 600, 755):
            torch.testing.assert_close(groups[..., index, :], power[..., at : at + size, :].mean(dim=-2))
        at += size
    assert at == spectrum.shape[-2] - 1


def test_masks_are_widened_to_the_bins_they_were_grouped_from():
    net = network()
    groups = torch.arange(756.0)[:, None]
    bins = net.widen(groups)[:, 0].tolist()
    assert bins == [*np.repeat(np.arange(756), group_sizes()), 755]


def test_what_is_hardly_there_stays_in_the_main_source():
    plain, careful = network(), network(keep="drums", share=0.999)
    careful.load_state_dict(plain.state_dict())
    powers = view_powers(plain.stft(noise()))
    with torch.no_grad():
        torn, kept = plain.group_masks(powers), careful.group_masks(powers)
    assert torn[:, 1:].max() > 0.05
    assert kept[:, 1:].max() == 0
    torch.testing.assert_close(kept.sum(dim=1), torch.ones_like(kept[:, 0]))
