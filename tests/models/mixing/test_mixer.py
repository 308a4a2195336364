"""The mix: nothing is delayed, dynamics follow the voice, and the balance is the original's."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyloudnorm
import pytest
from numpy.typing import NDArray

from models.core.errors import BadInput, Cancelled
from models.core.progress import Watch
from models.core.types import Samples, Wave
from models.mixing.mixer import MixPart, Original, mix, mix_buses
from models.mixing.section_balance import BusPowers, balance_sections, section_starts
from models.mixing.settings import MixSettings
from models.synthesis.example_song import ExampleSong, example_song

RATE = 44100
PLAIN = MixSettings(
    high_pass_hz=0, gate_range_db=0, compressor_ratio=1, deess_max_db=0, voice_send_db=-90, backing_send_db=-90,
    duck_db=0, backing_width_db=0, balance=False, end_fade_s=0,
)  # fmt: skip
"""Every effect off."""


@cache
def song() -> ExampleSong:
    return example_song(0, 10.0)


def wave(*channels: NDArray[np.floating]) -> Wave:
    return Wave(np.stack(channels).astype(np.float32), RATE)


def tone(hz: float, seconds: float, level_db: float = -20.0) -> NDArray[np.float64]:
    return np.asarray(10 ** (level_db / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE))


def hiss(seconds: float, level_db: float, seed: int = 0) -> NDArray[np.float64]:
    return 10 ** (level_db / 20) * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def level_db(samples: NDArray[np.floating], start_s: float, stop_s: float) -> float:
    return float(10 * np.log10((samples[..., round(start_s * RATE) : round(stop_s * RATE)] ** 2).mean() + 1e-15))


def mixed(
    voices: list[MixPart], backing: list[MixPart], settings: MixSettings, frames: int, original: Original | None = None
) -> tuple[Samples, Samples]:
    blocks = list(mix_buses(voices, backing, original or Original(), frames, RATE, settings))
    return np.concatenate([b.voice for b in blocks], axis=1), np.concatenate([b.backing for b in blocks], axis=1)


def test_with_every_effect_off_the_mix_is_the_sum_of_its_parts() -> None:
    a, b, c = wave(hiss(3, -20, 1), hiss(3, -20, 2)), wave(hiss(2, -20, 3)), wave(hiss(1, -20, 4), hiss(1, -20, 5))
    parts = [MixPart(a)], [MixPart(b, gain_db=-6.0), MixPart(c, start_s=1.5)]
    out = np.concatenate(list(mix(*parts, Original(), 4 * RATE, RATE, PLAIN)), axis=1)
    expected = np.zeros((2, 4 * RATE))
    expected[:, : 3 * RATE] += a.samples
    expected[:, : 2 * RATE] += b.samples * 10 ** (-6 / 20)
    expected[:, round(1.5 * RATE) : round(2.5 * RATE)] += c.samples
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_nothing_is_delayed_by_a_single_sample() -> None:
    clicks = np.zeros(5 * RATE)
    clicks[[22050, 70001, 131072, 200003]] = 0.7
    voices = wave(tone(330, 5, -30) * (np.arange(5 * RATE) % RATE < 0.6 * RATE) + clicks)
    voice, backing = mixed([MixPart(voices)], [MixPart(wave(clicks, clicks))], MixSettings(), 5 * RATE)
    for bus in (voice, backing):
        for at in (22050, 70001, 131072, 200003):
            assert np.argmax(np.abs(bus[0, at - 300 : at + 300])) == 300


def test_the_song_stays_in_time() -> None:
    lead = song().stems["lead_vocals"]
    original = Original([lead], [song().stems["other"]])
    voice, _ = mixed([MixPart(lead)], [MixPart(song().stems["drums"])], MixSettings(), lead.frames, original)
    a, b = np.fft.rfft(lead.samples[0], 1 << 20), np.fft.rfft(voice[0], 1 << 20)
    correlation = np.fft.irfft(np.conj(a) * b)
    assert abs((np.argmax(correlation) + 1000) % (1 << 20) - 1000) <= 1


def test_balance_of_each_section_is_the_originals() -> None:
    """A voice 10 dB too quiet and a wandering backing of other notes come out in the original's proportions."""
    stems, frames = song().stems, song().mix.frames
    beat = 60 / song().grid.tempo_bpm
    sections = (0.0, 4 * beat, 8 * beat, 16 * beat)
    vocals = wave(*(stems["lead_vocals"].samples + stems["backing_vocals"].samples))
    band = wave(*(stems["drums"].samples + stems["bass"].samples + stems["other"].samples))
    wander = 10 ** (np.where(np.arange(frames) < 10 * beat * RATE, 5.0, -4.0) / 20)
    new_voice = wave(*(vocals.samples[:1] * 10 ** (-10 / 20)))
    new_band = wave(*(song().stems["drums"].samples * 0.4 + song().stems["other"].samples * wander))
    original = Original(
        [stems["lead_vocals"], stems["backing_vocals"]], [stems["drums"], stems["bass"], stems["other"]], sections
    )
    voice, backing = mixed([MixPart(new_voice)], [MixPart(new_band)], MixSettings(), frames, original)
    meter = pyloudnorm.Meter(RATE)
    compared = 0
    for start, stop in zip(sections[1:], (*sections[2:], frames / RATE), strict=True):
        here = slice(round(start * RATE), round(stop * RATE))
        old_ratio = meter.integrated_loudness(vocals.samples[:, here].T) - meter.integrated_loudness(
            band.samples[:, here].T
        )
        new_ratio = meter.integrated_loudness(voice[:, here].T) - meter.integrated_loudness(backing[:, here].T)
        assert new_ratio == pytest.approx(old_ratio, abs=1.0)
        compared += 1
    assert compared == 3
    intro = slice(0, round(4 * beat * RATE))
    assert meter.integrated_loudness(backing[:, intro].T) == pytest.approx(
        meter.integrated_loudness(band.samples[:, intro].T), abs=1.0
    )


def test_gains_of_the_users_own_come_on_top_of_the_balance() -> None:
    original = Original([song().stems["lead_vocals"]], [song().stems["other"]])
    parts = [MixPart(song().stems["lead_vocals"])], [MixPart(song().stems["other"])]
    frames = song().mix.frames
    plain = mixed(*parts, MixSettings(), frames, original)
    louder = mixed(*parts, replace(MixSettings(), voice_gain_db=3.0, backing_gain_db=-2.0), frames, original)
    assert level_db(louder[0], 4, 10) - level_db(plain[0], 4, 10) == pytest.approx(3.0, abs=0.01)
    assert level_db(louder[1], 4, 10) - level_db(plain[1], 4, 10) == pytest.approx(-2.0, abs=0.01)


def test_an_outro_is_as_loud_as_the_song_it_follows() -> None:
    original = Original([], [wave(hiss(6, -24, 1))])
    parts = [MixPart(wave(hiss(6, -34, 2))), MixPart(wave(hiss(4, -14, 3)), start_s=6.0)]
    _, backing = mixed([], parts, MixSettings(), 10 * RATE, original)
    assert level_db(backing, 7, 9.5) == pytest.approx(level_db(backing, 1, 5), abs=0.5)


def test_a_part_is_first_made_as_loud_as_the_stem_it_stands_in_for() -> None:
    lead, choir = wave(tone(300, 4, -14)), wave(tone(450, 4, -26))
    converted = wave(tone(320, 4, -23))
    both, _ = mixed([MixPart(converted, level_reference=lead), MixPart(choir)], [], PLAIN, 4 * RATE)
    choir_alone, _ = mixed([MixPart(choir)], [], PLAIN, 4 * RATE)
    assert level_db(both - choir_alone, 1, 3) == pytest.approx(level_db(lead.samples, 1, 3), abs=0.3)


def test_without_any_original_levels_stay_as_they_are() -> None:
    settings = replace(PLAIN, balance=True)
    buses = mixed([MixPart(wave(tone(300, 3, -14)))], [MixPart(wave(tone(300, 3, -31)))], settings, 3 * RATE)
    assert level_db(buses[0], 1, 2) == pytest.approx(-17, abs=0.1)
    assert level_db(buses[1], 1, 2) == pytest.approx(-34, abs=0.1)


@pytest.mark.parametrize("missing", ["voice", "backing"])
def test_without_an_original_the_voice_stands_as_far_over_the_backing_as_the_settings_say(missing: str) -> None:
    voice, band = wave(tone(440, 6, -30)), wave(tone(440, 6, -10))
    original = Original([], [band]) if missing == "voice" else Original([voice], [])
    settings = replace(PLAIN, balance=True, voice_over_backing_db=2.0)
    buses = mixed([MixPart(voice)], [MixPart(band)], settings, 6 * RATE, original)
    assert level_db(buses[0], 1, 5) - level_db(buses[1], 1, 5) == pytest.approx(2.0, abs=0.2)


def phrases() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sung at 1-2 s and 5-6 s; a breath 0.3 s before the second; residue all along, loudest at 3.2 s."""
    time = np.arange(7 * RATE) / RATE
    singing = tone(300, 7, -14) * (((time > 1) & (time < 2)) | ((time > 5) & (time < 6)))
    breath = hiss(7, -50, 1) * ((time > 4.65) & (time < 4.9))
    residue = hiss(7, -65, 2) + hiss(7, -25, 3) * ((time > 3.2) & (time < 3.23))
    return singing + breath, residue


def test_the_gate_closes_on_residue_and_leaves_breaths() -> None:
    kept, residue = phrases()
    gated, _ = mixed([MixPart(wave(kept + residue))], [], replace(PLAIN, gate_range_db=36.0), 7 * RATE)
    raw = (kept + residue)[None]
    for start, stop in ((2.6, 4.2), (6.6, 6.9), (0.0, 0.3), (3.2, 3.23)):
        assert level_db(gated, start, stop) - level_db(raw, start, stop) < -34
    for start, stop in ((1.0, 2.0), (4.65, 4.9), (5.0, 6.0), (2.0, 2.25)):
        assert level_db(gated, start, stop) - level_db(raw, start, stop) == pytest.approx(0, abs=0.2)


def test_the_gate_listens_to_the_originals_voice() -> None:
    """What a converter makes of residue may be loud; where the original is silent it is gated all the same."""
    kept, _ = phrases()
    noises = kept + tone(700, 7, -16) * (np.arange(7 * RATE) % (7 * RATE) // RATE == 3)
    settings = replace(PLAIN, gate_range_db=36.0)
    gated, _ = mixed([MixPart(wave(noises))], [], settings, 7 * RATE, Original([wave(kept)]))
    assert level_db(gated, 3.1, 3.9) < -50
    alone, _ = mixed([MixPart(wave(noises))], [], settings, 7 * RATE)
    assert level_db(alone, 3.1, 3.9) > -21


def test_the_backing_ducks_under_the_voice_and_comes_back() -> None:
    sung = tone(300, 8, -14) * ((np.arange(8 * RATE) > 2 * RATE) & (np.arange(8 * RATE) < 4 * RATE))
    _, band = mixed([MixPart(wave(sung))], [MixPart(wave(tone(1000, 8)))], replace(PLAIN, duck_db=3.0), 8 * RATE)
    assert level_db(band, 2.5, 3.9) - level_db(band, 0, 1.5) == pytest.approx(-3.0, abs=0.1)
    assert level_db(band, 7, 8) - level_db(band, 0, 1.5) == pytest.approx(0.0, abs=0.1)


def test_a_part_gives_way_to_what_follows_it() -> None:
    parts = [MixPart(wave(hiss(4, -20, 1)), stop_s=2.0), MixPart(wave(hiss(2, -20, 2)), start_s=2.0)]
    _, band = mixed([], parts, replace(PLAIN, crossfade_s=0.5), 4 * RATE)
    _, song_alone = mixed([], parts[:1], replace(PLAIN, crossfade_s=0.5), 4 * RATE)
    assert level_db(song_alone, 2.5, 4) < -140
    assert level_db(song_alone, 0, 2) == pytest.approx(-20, abs=0.2)
    assert level_db(song_alone, 2.2, 2.3) == pytest.approx(-23, abs=0.7)
    assert np.abs(np.diff(song_alone[0, 2 * RATE : 3 * RATE])).max() < 0.6
    assert level_db(band, 2.6, 4) == pytest.approx(-20, abs=0.2)


def test_the_track_ends_without_a_click() -> None:
    _, band = mixed([], [MixPart(wave(tone(100, 2)))], replace(PLAIN, end_fade_s=0.05), RATE)
    assert level_db(band, 0.5, 0.94) == pytest.approx(-23, abs=0.2)
    assert np.abs(band[:, -20:]).max() < 0.001


@pytest.mark.parametrize("there", ["voice", "backing", "silent voice", "silence", "nothing"])
def test_whatever_is_missing_is_fine(there: str) -> None:
    silent, sounding = wave(np.zeros(3 * RATE), np.zeros(3 * RATE)), song().stems["lead_vocals"]
    voices = {"voice": [MixPart(sounding)], "silent voice": [MixPart(silent)], "silence": [MixPart(silent)]}.get(
        there, []
    )
    backing = {"backing": [MixPart(sounding)], "silent voice": [MixPart(sounding)], "silence": [MixPart(silent)]}.get(
        there, []
    )
    original = Original([silent], [silent]) if there == "silence" else Original()
    buses = mixed(voices, backing, MixSettings(), 6 * RATE, original)
    assert np.isfinite(buses).all()
    assert bool(buses[0].any()) == (there == "voice")
    assert bool(buses[1].any()) == (there in ("backing", "silent voice"))


def test_equal_inputs_give_equal_bytes_and_reading_is_in_blocks() -> None:
    reads: list[int] = []

    class Counted(Wave):
        def read(self, start: int, stop: int) -> Samples:
            reads.append(stop - start)
            return super().read(start, stop)

    stems = {name: Counted(stem.samples, RATE) for name, stem in song().stems.items()}
    original = Original([stems["lead_vocals"]], [stems["other"], stems["bass"]], section_starts(song().grid, 10.0, 2))
    assert len(original.sections_s) > 1
    progress: list[float] = []

    def bytes_of(watch: Watch) -> bytes:
        parts = [MixPart(stems["lead_vocals"])], [MixPart(stems["other"]), MixPart(stems["drums"])]
        return b"".join(b.tobytes() for b in mix(*parts, original, 10 * RATE, RATE, MixSettings(), watch))

    assert bytes_of(Watch(progress.append)) == bytes_of(Watch())
    assert max(reads) < 1.1 * (1 << 16)
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1.0)
    with pytest.raises(Cancelled):
        bytes_of(Watch(cancelled=lambda: True))


@pytest.mark.parametrize(
    "source", [Wave(np.zeros((2, 100), np.float32), 22050), Wave(np.zeros((6, 9), np.float32), RATE)]
)
def test_a_part_that_does_not_fit_is_refused(source: Wave) -> None:
    with pytest.raises(BadInput, match="mono or stereo at 44100 Hz"):
        list(mix([], [MixPart(source)], Original(), 100, RATE, MixSettings()))


def test_a_word_at_a_sections_start_does_not_decide_how_loud_the_band_is() -> None:
    step_s, bounds = 0.1, (0.0, 10.0, 20.0)
    voice, old, new = np.zeros(200), np.full(200, 0.01), np.full(200, 0.01)
    voice[:80] = 0.01  # the first section is sung, of the second the first 0.8 s
    voice[100:108] = 0.01
    new[100:108] = 0.0001  # where the new band happens to rest
    gains = balance_sections(BusPowers(voice, old), BusPowers(voice, new), bounds, 20.0, step_s, 0.0, 18.0)
    assert abs(gains.backing_db[1]) < 1
