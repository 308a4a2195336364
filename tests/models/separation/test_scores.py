import numpy as np
import pytest

from models.separation.evaluation.scores import bss_eval_v4, equal_split, ideal_ratio_masks, scores

RATE = 8000


def tone(hertz: float, seconds: float = 3.0) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)
    return np.stack([wave, 0.5 * wave]).astype(np.float32)


def reference() -> np.ndarray:
    return np.stack([tone(200), tone(1500), np.zeros_like(tone(200))])


def test_the_baselines_add_up_to_the_mix():
    mix = reference().sum(axis=0)
    np.testing.assert_allclose(equal_split(mix, 3).sum(axis=0), mix, atol=1e-6)
    np.testing.assert_allclose(ideal_ratio_masks(reference()).sum(axis=0), mix, atol=1e-5)


def test_ideal_masks_part_what_lies_apart():
    result = scores(["low", "high", "none"], reference(), ideal_ratio_masks(reference()), RATE)
    assert result[0].sdr > 25
    assert result[1].second_sdr > 25
    assert np.isnan(result[2].sdr)
    assert np.isnan(result[0].bss_sdr)


def test_a_share_of_the_mix_scores_as_the_sum_says():
    shares = equal_split(reference().sum(axis=0), 3)
    assert scores(["low", "high", "none"], reference(), shares, RATE)[0].sdr == pytest.approx(
        10 * np.log10(9 / 5), abs=0.05
    )


def test_bss_eval_tells_interference_from_artefacts():
    rng = np.random.default_rng(0)
    sources = 0.2 * rng.standard_normal((2, 2, 3 * RATE)).astype(np.float32)
    leaking = np.stack([sources[0] + 0.1 * sources[1], sources[1]])
    noisy = sources + 0.02 * rng.standard_normal(sources.shape).astype(np.float32)
    sdr, _, sir, sar = bss_eval_v4(sources, leaking, RATE)[:, 0]
    assert sir == pytest.approx(20, abs=1)
    assert sar > sir + 10
    assert sdr == pytest.approx(20, abs=1)
    _, _, sir, sar = bss_eval_v4(sources, noisy, RATE)[:, 0]
    assert sar < sir


def test_bss_eval_passes_over_silent_sources():
    result = bss_eval_v4(reference(), reference(), RATE)
    assert np.isnan(result[:, 2]).all()
    assert (result[0, :2] > 50).all()
