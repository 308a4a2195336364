import numpy as np
import pytest

from models.separation.evaluation.metrics import frame_sdrs_db, sdr_db, si_sdr_db


def noise(seed: int, frames: int = 20_000) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, frames)).astype(np.float32)


def test_sdr_is_the_ratio_of_signal_to_error():
    reference = noise(1)
    assert sdr_db(reference, reference + 0.1 * noise(2)) == pytest.approx(20, abs=0.2)
    assert sdr_db(reference, np.zeros_like(reference)) == 0
    assert np.isnan(sdr_db(np.zeros_like(reference), reference))


def test_si_sdr_forgives_a_gain_and_sdr_does_not():
    reference = noise(1)
    estimate = reference + 0.1 * noise(2)
    assert si_sdr_db(reference, 0.3 * estimate) == pytest.approx(si_sdr_db(reference, estimate), abs=1e-4)
    assert sdr_db(reference, 0.3 * estimate) < 4


def test_frames_leave_silence_out():
    reference = np.concatenate([noise(1, 1000), np.zeros((2, 1000), np.float32), noise(2, 1000)], axis=1)
    result = frame_sdrs_db(reference, reference * np.float32(0.9), 500)
    assert len(result) == 4
    np.testing.assert_allclose(result, 20, atol=1e-3)
