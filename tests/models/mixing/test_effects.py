"""High-pass, compression, de-essing, reverb, pan and width do what they say."""

from dataclasses import replace

import numpy as np
import pytest

from models.mixing.mixer import MixPart
from tests.models.mixing.test_mixer import PLAIN, RATE, hiss, level_db, mixed, tone, wave


def test_the_high_pass_takes_rumble_and_leaves_the_voice() -> None:
    settings = replace(PLAIN, high_pass_hz=80.0)
    for hz, change_db in ((20.0, -20.0), (80.0, -6.0), (200.0, 0.0)):
        source = tone(hz, 2, -20)
        out, _ = mixed([MixPart(wave(source))], [], settings, 2 * RATE)
        change = level_db(out, 0.5, 1.9) - level_db(source, 0.5, 1.9)
        assert change == pytest.approx(change_db, abs=0.3) or change < change_db == -20


def test_compression_narrows_what_is_loud_and_leaves_what_is_soft() -> None:
    loud = np.arange(6 * RATE) // RATE % 2 == 1
    source = tone(300, 6, -26) * np.where(loud, 10 ** (12 / 20), 1.0)
    out, _ = mixed([MixPart(wave(source))], [], replace(PLAIN, compressor_ratio=2.5), 6 * RATE)
    before = level_db(source, 1.4, 1.9) - level_db(source, 2.6, 2.9)
    after = level_db(out, 1.4, 1.9) - level_db(out, 2.6, 2.9)
    assert before == pytest.approx(12, abs=0.1)
    assert 8 < after < 11
    assert level_db(out, 2.6, 2.9) == pytest.approx(level_db(source, 2.6, 2.9), abs=0.3)


def test_de_essing_softens_hiss_and_leaves_vowels() -> None:
    ess = np.zeros(4 * RATE)
    ess[2 * RATE : 2 * RATE + RATE // 8] = hiss(0.125, -14)
    source = tone(300, 4, -14) * (np.arange(4 * RATE) < 2 * RATE) + ess
    out, _ = mixed([MixPart(wave(source))], [], replace(PLAIN, deess_max_db=6.0), 4 * RATE)
    high = [np.abs(np.fft.rfft(x[2 * RATE : 2 * RATE + RATE // 8]))[1000:] for x in (source, out[0])]
    assert -7 < 10 * np.log10((high[1] ** 2).sum() / (high[0] ** 2).sum()) < -4
    np.testing.assert_allclose(out[0, : 2 * RATE - 2000], source[: 2 * RATE - 2000], atol=1e-4)


def test_the_send_adds_a_room_and_only_after_the_sound() -> None:
    burst = np.zeros(3 * RATE)
    burst[RATE : RATE + 2000] = hiss(1, -10)[:2000]
    dry, _ = mixed([MixPart(wave(burst))], [], PLAIN, 3 * RATE)
    wet, band = mixed([MixPart(wave(burst))], [], replace(PLAIN, voice_send_db=-19.0), 3 * RATE)
    assert level_db(dry, 1.1, 2) < -140
    assert -70 < level_db(wet, 1.1, 1.3) < -35
    assert level_db(wet, 1.9, 2.1) < level_db(wet, 1.1, 1.3) - 20
    np.testing.assert_allclose(wet[:, : RATE + 800], dry[:, : RATE + 800], atol=1e-6)
    assert not np.allclose(wet[0], wet[1], atol=1e-5)
    assert not band.any()


def test_pan_and_width_place_the_sound() -> None:
    left, _ = mixed([MixPart(wave(tone(440, 1)), pan=-1.0)], [], PLAIN, RATE)
    assert level_db(left[1], 0.1, 0.9) < -120
    assert level_db(left[0], 0.1, 0.9) == pytest.approx(-20, abs=0.1)
    middle, _ = mixed([MixPart(wave(tone(440, 1)))], [], PLAIN, RATE)
    np.testing.assert_array_equal(middle[0], middle[1])
    pan_gains = wave(tone(440, 1), tone(660, 1))
    _, wide = mixed([], [MixPart(pan_gains)], replace(PLAIN, backing_width_db=6.0), RATE)
    np.testing.assert_allclose(wide.sum(axis=0), pan_gains.samples.sum(axis=0), atol=1e-6)
    gain_db = level_db(wide[0] - wide[1], 0, 1) - level_db(pan_gains.samples[0] - pan_gains.samples[1], 0, 1)
    assert gain_db == pytest.approx(6.0, abs=0.01)
