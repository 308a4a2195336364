import numpy as np
import pytest

from models.conversion.ltas_eq import BANDS, LtasEqualiser, long_term_average_spectrum
from models.synthesis.example_song import example_song

RATE = 22_050


@pytest.fixture(scope="module")
def sung() -> np.ndarray:
    import soxr

    lead = example_song(seconds=8.0).stems["lead_vocals"]
    return np.asarray(soxr.resample(lead.samples.mean(axis=0), lead.sample_rate, RATE), np.float32)


def test_a_phrase_is_brought_nearer_to_the_wanted_spectrum(sung):
    wanted = long_term_average_spectrum(
        np.convolve(sung, (0.75, 0.7))[: len(sung)].astype(np.float32), RATE
    )  # a duller microphone
    before = np.abs(long_term_average_spectrum(sung, RATE) - wanted).mean()
    after = np.abs(long_term_average_spectrum(LtasEqualiser(wanted, RATE, 1.0).apply(sung), RATE) - wanted).mean()
    assert after < 0.65 * before


def test_a_voice_that_has_its_spectrum_is_left_as_it_is_and_on_time(sung):
    same = LtasEqualiser(long_term_average_spectrum(sung, RATE), RATE, 1.0).apply(sung)
    assert np.abs(same - sung).max() < 0.03 * np.abs(sung).max()
    click = np.zeros(4000, np.float32)
    click[2000] = 1.0
    brighter = LtasEqualiser(long_term_average_spectrum(sung, RATE) + np.linspace(-3, 3, BANDS), RATE, 1.0)
    brighter.apply(sung)
    assert np.abs(brighter.apply(click)).argmax() == 2000


def test_little_singing_says_little_and_silence_nothing(sung):
    wanted = long_term_average_spectrum(sung, RATE) + np.linspace(-5, 5, BANDS)
    short, whole = LtasEqualiser(wanted, RATE, 1.0), LtasEqualiser(wanted, RATE, 1.0)
    piece = sung[RATE : RATE + RATE // 4]
    whole.apply(sung)
    assert np.abs(short.apply(piece) - piece).sum() < np.abs(whole.apply(piece) - piece).sum()
    silence = np.zeros(RATE, np.float32)
    assert not LtasEqualiser(wanted, RATE, 1.0).apply(silence).any()
    assert len(LtasEqualiser(wanted, RATE, 1.0).apply(silence[:7])) == 7


def test_gains_have_their_bound(sung):
    loud = LtasEqualiser(long_term_average_spectrum(sung, RATE) + 40.0, RATE, 1.0, max_gain_db=6.0).apply(sung)
    gain_db = 20 * np.log10(np.sqrt((loud**2).mean() / (sung**2).mean()))
    assert 4.0 < gain_db <= 6.1
