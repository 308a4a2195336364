import numpy as np
import pytest

from models.separation.evaluation.metrics import frame_sdrs_db, sdr_db, si_sdr_db


def noise(seed: int, frames: int = 20_000) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, frames)).astype(np.float32)


def test_sdr_is_the_ratio_of_signal_to_error():
    truth = noise(1)
    assert sdr_db(truth, truth + 0.1 * noise(2)) == pytest.approx(20, abs=0.2)
    assert sdr_db(truth, np.zeros_like(truth)) == 0
    assert np.isnan(sdr_db(np.zeros_like(truth), truth))


def test_si_sdr_forgives_a_gain_and_sdr_does_not():
    truth = noise(1)
    estimate = truth + 0.1 * noise(2)
    assert si_sdr_db(truth, 0.3 * estimate) == pytest.approx(si_sdr_db(truth, estimate), abs=1e-4)
    assert sdr_db(truth, 0.3 * estimate) < 4


def test_frames_leave_silence_out():
    truth = np.concatenate([noise(1, 1000), np.zeros((2, 1000), np.float32), noise(2, 1000)], axis=1)
    found = frame_sdrs_db(truth, truth * np.float32(0.9), 500)
    assert len(found) == 4
    np.testing.assert_allclose(found, 20, atol=1e-3)
