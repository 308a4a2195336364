import math

import pytest
import torch

from models.separation.checkpoints import load, separator_path
from models.separation.evaluation.metrics import sdr_db
from models.separation.networks.band_mask import BandMask, apply_temperature, view_powers
from models.separation.networks.wiener import wiener_gains

SOURCES = ["left", "right"]
FRAMES = 60_000


def network(**changes) -> BandMask:
    torch.manual_seed(0)
    return BandMask(SOURCES, width=16, depth=2, **changes).eval()


def noises() -> torch.Tensor:
    """Two sources of noise, one more on the left and one more on the right. Shape: (1, 2 sources, 2, frames)."""
    mono = 0.1 * torch.randn(2, FRAMES, generator=torch.Generator().manual_seed(1))
    angles = torch.tensor([0.3, 1.2])
    return (torch.stack([angles.cos(), angles.sin()], dim=1)[:, :, None] * mono[:, None])[None]


def ratio_masks(net: BandMask, sources: torch.Tensor) -> torch.Tensor:
    """Ideal ratio masks, blurred by a third of an even share. Shape: (1, S, 2, groups, T)."""
    powers = torch.stack([view_powers(net.stft(source[None]))[0, :2] for source in sources[0]])[None]
    return 2 / 3 * powers / powers.sum(dim=1, keepdim=True) + 1 / 6


def parted(net: BandMask, mix: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    net.group_masks = lambda views: masks
    with torch.no_grad():
        return net(mix)


def test_the_wiener_filter_improves_panned_sources():
    sources = noises()
    masks = ratio_masks(network(), sources)
    mix = sources.sum(dim=1)
    plain, parts = (parted(network(wiener=wiener), mix, masks) for wiener in (False, True))
    for row in (0, 1):
        reference = sources[0, row].numpy()
        assert sdr_db(reference, parts[0, row].numpy()) > sdr_db(reference, plain[0, row].numpy()) + 3


def test_equally_panned_sources_are_not_changed():
    mono = noises()[:, :, :1].expand(-1, -1, 2, -1)
    masks = ratio_masks(network(), mono)
    mix = mono.sum(dim=1)
    plain, parts = (parted(network(wiener=wiener), mix, masks) for wiener in (False, True))
    torch.testing.assert_close(parts, plain, atol=1e-3, rtol=0)


@pytest.mark.parametrize("loudness", [1e-4, 1.0, 100.0])
def test_the_filtered_sources_sum_to_the_mix(loudness):
    mix = loudness * noises().sum(dim=1)
    with torch.no_grad():
        parts = network(wiener=True, temperature=1.25)(mix)
    torch.testing.assert_close(parts.sum(dim=1), mix, atol=1e-4 * loudness, rtol=0)


def test_silence_and_a_silent_side_stay_silent():
    net = network(wiener=True)
    with torch.no_grad():
        assert net(torch.zeros(1, 2, FRAMES)).abs().max() == 0
        mix = noises().sum(dim=1)
        mix[:, 1] = 0
        parts = net(mix)
    assert parts.isfinite().all()
    assert parts[:, :, 1].abs().max() < 1e-6


def test_over_the_sources_the_gains_are_the_identity():
    net, mix = network(), noises().sum(dim=1)
    views = view_powers(net.stft(mix))
    with torch.no_grad():
        gains = wiener_gains(net.group_masks(views), views)
    whole = torch.eye(2)[None, :, :, None, None].expand_as(gains[:, 0])
    torch.testing.assert_close(gains.sum(dim=1), whole, atol=1e-5, rtol=0)


def test_softened_masks_are_a_softmax_at_that_temperature():
    logits = torch.randn(2, 4, 2, 5, 7, generator=torch.Generator().manual_seed(1))
    result = apply_temperature(torch.softmax(logits, dim=1), 1.25)
    torch.testing.assert_close(result, torch.softmax(logits / 1.25, dim=1))
    assert not math.isclose(float(result[0, 0, 0, 0, 0]), float(torch.softmax(logits, dim=1)[0, 0, 0, 0, 0]))


def test_what_the_network_learns_from_is_not_changed():
    plain, changed = network(), network(wiener=True, temperature=2.0)
    changed.load_state_dict(plain.state_dict())
    views = view_powers(plain.stft(noises().sum(dim=1)))
    with torch.no_grad():
        torch.testing.assert_close(changed.group_masks(views), plain.group_masks(views), atol=0, rtol=0)


def test_the_shipped_separator_has_the_wiener_filter():
    shipped = load(separator_path("band-mask"))
    assert shipped.wiener
    assert shipped.temperature == 1.2
