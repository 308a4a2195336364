import numpy as np
import pytest

from models.conversion.ltas_eq import BANDS, Timbre, spectrum
from models.synthesis.example_song import example_song

RATE = 22_050


@pytest.fixture(scope="module")
def sung() -> np.ndarray:
    import soxr

    lead = example_song(seconds=8.0).stems["lead_vocals"]
    return np.asarray(soxr.resample(lead.samples.mean(axis=0), lead.sample_rate, RATE), np.float32)


def test_a_phrase_is_brought_nearer_to_the_wanted_spectrum(sung):
    wanted = spectrum(np.convolve(sung, (0.75, 0.7))[: len(sung)].astype(np.float32), RATE)  # a duller microphone
    before = np.abs(spectrum(sung, RATE) - wanted).mean()
    after = np.abs(spectrum(Timbre(wanted, RATE, 1.0).on(sung), RATE) - wanted).mean()
    assert after < 0.65 * before


def test_a_voice_that_has_its_spectrum_is_left_as_it_is_and_on_time(sung):
    same = Timbre(spectrum(sung, RATE), RATE, 1.0).on(sung)
    assert np.abs(same - sung).max() < 0.03 * np.abs(sung).max()
    click = np.zeros(4000, np.float32)
    click[2000] = 1.0
    brighter = Timbre(spectrum(sung, RATE) + np.linspace(-3, 3, BANDS), RATE, 1.0)
    brighter.on(sung)
    assert np.abs(brighter.on(click)).argmax() == 2000


def test_little_singing_says_little_and_silence_nothing(sung):
    wanted = spectrum(sung, RATE) + np.linspace(-5, 5, BANDS)
    short, whole = Timbre(wanted, RATE, 1.0), Timbre(wanted, RATE, 1.0)
    piece = sung[RATE : RATE + RATE // 4]
    whole.on(sung)
    assert np.abs(short.on(piece) - piece).sum() < np.abs(whole.on(piece) - piece).sum()
    silence = np.zeros(RATE, np.float32)
    assert not Timbre(wanted, RATE, 1.0).on(silence).any()
    assert len(Timbre(wanted, RATE, 1.0).on(silence[:7])) == 7


def test_gains_have_their_bound(sung):
    loud = Timbre(spectrum(sung, RATE) + 40.0, RATE, 1.0, most_db=6.0).on(sung)
    gain_db = 20 * np.log10(np.sqrt((loud**2).mean() / (sung**2).mean()))
    assert 4.0 < gain_db <= 6.1
