"""Converting: what the fork's own inference gets wrong, each provoked."""

from dataclasses import dataclass

import numpy as np
import pytest

from models.analysis.f0 import F0, F0Settings, track_f0
from models.conversion.convert import Voice, convert, load_voice
from models.conversion.key_shift import key_shift_for, notes_outside_range
from models.conversion.phrases import active_frames, level_contour, match_loudness, rms_envelope, split_phrases
from models.conversion.settings import ConvertSettings
from models.conversion.voices.registry import Card, VocalRange, find_voice
from models.core.errors import BadInput, Cancelled
from models.core.progress import Watch
from models.core.types import Samples, Wave

RATE = 16_000
NOTHING = Card("nobody", "test", "MIT", VocalRange(0, ()))


@dataclass
class Humming:
    """A singer that hums the pitch it is given at one loudness; it remembers what it was asked."""

    sample_rate: int = 8_000
    hop: int = 80
    asked: int = 0
    longest: int = 0

    def resynthesise(
        self, audio: np.ndarray, f0_hz: np.ndarray, target_hz: np.ndarray, noise_scale: float, seed: int
    ) -> np.ndarray:
        self.asked += 1
        self.longest = max(self.longest, len(audio))
        hz = np.repeat(target_hz, self.hop)[: len(audio)].astype(np.float64)
        tone = np.sin(2 * np.pi * np.cumsum(hz) / self.sample_rate) * (hz > 0)
        hiss = np.random.default_rng(seed).normal(0, 0.1, len(audio)) * (hz == 0)
        return (0.3 * tone + hiss).astype(np.float32)


def sung(hz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.2 * sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 8))).astype(np.float32)


def silence(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.zeros(round(seconds * rate), np.float32)


def converted(audio: np.ndarray, settings: ConvertSettings | None = None, rate: int = RATE) -> Samples:
    source = Wave(np.atleast_2d(audio), rate)
    voice = Voice(NOTHING, Humming())
    return np.concatenate(list(convert(source, voice, settings or ConvertSettings(), 0, "cpu")), axis=1)


def test_the_length_is_kept_to_the_sample_and_silence_stays_silent() -> None:
    audio = np.concatenate([silence(0.7), sung(220, 1.3), silence(0.9), sung(330, 0.501), silence(0.4)])
    out = converted(audio)
    assert out.shape == (1, len(audio))
    assert out.dtype == np.float32
    assert not out[0, : int(0.6 * RATE)].any()
    assert not out[0, int(2.1 * RATE) : int(2.8 * RATE)].any()
    assert np.sqrt(np.mean(out[0, RATE : 2 * RATE] ** 2)) > 0.05


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_onsets_stay_within_ten_milliseconds(rate: int) -> None:
    audio = np.concatenate([silence(0.503, rate), sung(220, 0.8, rate), silence(0.6, rate), sung(300, 0.8, rate)])
    out = converted(audio, rate=rate)[0]
    for onset_s in (0.503, 1.903):
        around = slice(int((onset_s - 0.2) * rate), int((onset_s + 0.2) * rate))
        level = rms_envelope(out, rate, 0.002)[around]
        risen = np.flatnonzero(level > 0.25 * level.max())[0] / rate + onset_s - 0.2
        assert abs(risen - onset_s) < 0.010


@pytest.mark.parametrize("late_s", [-0.015, 0.015])
def test_an_attack_is_put_back_where_the_source_has_it_though_the_voice_is_late(late_s: float) -> None:
    rate = 22_050
    swell = np.concatenate([np.zeros(rate // 2), np.linspace(0, 1, rate // 25), np.ones(rate // 2)]).astype(np.float32)
    audio = sung(220, len(swell) / rate, rate)[: len(swell)] * swell
    late = match_loudness(np.roll(audio, round(late_s * rate)), audio, rate)

    def half_way(samples: np.ndarray) -> float:
        level = rms_envelope(samples, rate, 0.003)
        return float(np.flatnonzero(level > level.max() / 2)[0] / rate)

    assert abs(half_way(late) - half_way(audio)) < 0.003


def test_the_pitch_is_the_sources_shifted_by_the_key() -> None:
    audio = sung(220, 2)
    for shift in (0, 5, -12):
        out = converted(audio, ConvertSettings(key_shift=shift))
        hz = track_f0(Wave(out, RATE), F0Settings()).hz
        off = 1200 * np.log2(np.median(hz[hz > 0]) / (220 * 2 ** (shift / 12)))
        assert abs(off) < 5


def test_the_loudness_contour_of_the_source_is_put_back() -> None:
    swell = np.concatenate([np.linspace(0.05, 1, RATE), np.linspace(1, 0.05, RATE)]).astype(np.float32)
    audio = sung(220, 2) * swell
    out = converted(audio)[0]
    inside = slice(RATE // 10, -RATE // 10)
    off = 20 * np.log10(rms_envelope(out, RATE)[inside] / rms_envelope(audio, RATE)[inside])
    assert np.abs(off).max() < 2


def test_residue_below_the_gate_is_not_sung() -> None:
    audio = np.concatenate([sung(220, 1.5), silence(0.5), 0.002 * sung(330, 1.5)])
    out = converted(audio)
    assert out[0, :RATE].any()
    assert not out[0, int(2.1 * RATE) :].any()


def test_a_breath_or_consonant_does_not_become_a_tone() -> None:
    hiss = np.random.default_rng(0).normal(0, 0.05, int(0.4 * RATE)).astype(np.float32)
    audio = np.concatenate([sung(220, 1.0), hiss, sung(247, 1.0)])
    out = converted(audio)[0]
    inside = out[int(1.08 * RATE) : int(1.32 * RATE)]
    assert np.sqrt(np.mean(inside**2)) == pytest.approx(0.05, rel=0.3)
    spectrum = np.abs(np.fft.rfft(inside)) ** 2
    assert spectrum.max() < 30 * spectrum.mean()
    tone = np.abs(np.fft.rfft(out[int(0.3 * RATE) : int(0.54 * RATE)])) ** 2
    assert tone.max() > 300 * tone.mean()


def test_one_bad_sample_is_refused_and_not_made_silence() -> None:
    audio = sung(220, 1)
    audio[5000] = np.nan
    with pytest.raises(BadInput, match="not numbers"):
        converted(audio)


def test_stereo_is_averaged_not_read_as_twice_the_length() -> None:
    audio = sung(220, 1)
    np.testing.assert_allclose(converted(np.stack([2 * audio, 0 * audio])), converted(audio), atol=1e-6)


def test_silence_is_never_handed_to_the_voice() -> None:
    engine = Humming()
    out = list(convert(Wave(silence(3)[None], RATE), Voice(NOTHING, engine), ConvertSettings(), 0, "cpu"))
    assert sum(block.shape[1] for block in out) == 3 * RATE
    assert engine.asked == 0


def test_a_long_phrase_is_cut_where_it_is_quiet_and_joined_without_a_click() -> None:
    audio = sung(220, 40)
    for breath in (9.0, 22.0, 34.0):
        around = slice(int(breath * RATE), int((breath + 0.15) * RATE))
        audio[around] *= 0.3
    engine = Humming()
    source = Wave(audio[None], RATE)
    out = np.concatenate(list(convert(source, Voice(NOTHING, engine), ConvertSettings(phrase_s=15), 0, "cpu")), axis=1)[
        0
    ]
    assert out.shape == (len(audio),)
    assert engine.asked >= 3
    assert engine.longest <= 15.6 * engine.sample_rate
    inside = out[RATE // 10 : -RATE // 10]
    assert np.abs(np.diff(inside)).max() < 1.3 * np.abs(np.diff(out[RATE : 2 * RATE])).max()
    assert rms_envelope(out, RATE)[RATE:-RATE].min() > 0.7 * rms_envelope(audio, RATE)[RATE:-RATE].min()


def test_phrases_cover_all_that_sounds_and_nothing_is_too_long() -> None:
    audio = np.concatenate([silence(1), sung(200, 31), silence(1), sung(200, 2)])
    level = level_contour(Wave(audio[None], RATE))
    sounds = active_frames(level, 45, -60)
    found = split_phrases(level, sounds, 15)
    assert all(p.stop - p.start <= 1500 for p in found)
    covered = np.zeros(len(sounds), int)
    for phrase in found:
        covered[phrase.start : phrase.stop] += 1
    np.testing.assert_array_equal(covered, sounds)
    assert [p.joined for p in found] == [True, True, False, False]


def test_it_reports_and_stops_when_asked() -> None:
    reported: list[float] = []
    blocks = convert(
        Wave(sung(220, 2)[None], RATE), Voice(NOTHING, Humming()), ConvertSettings(), 0, "cpu", Watch(reported.append)
    )
    list(blocks)
    assert reported == sorted(reported)
    assert reported[-1] == 1.0
    with pytest.raises(Cancelled):
        list(
            convert(
                Wave(sung(220, 2)[None], RATE),
                Voice(NOTHING, Humming()),
                ConvertSettings(),
                0,
                "cpu",
                Watch(cancelled=lambda: True),
            )
        )


def a_track(midi: list[float]) -> F0:
    return F0((440 * 2 ** ((np.repeat(midi, 50) - 69) / 12)).astype(np.float32), 0.01)


def test_the_key_moves_by_octaves_into_the_range() -> None:
    vocal_range = VocalRange(57, (5.0,) * 24)
    assert key_shift_for(a_track([60, 64, 67, 72]), vocal_range) == 0
    assert key_shift_for(a_track([45, 48, 52]), vocal_range) == 12
    assert key_shift_for(a_track([84, 88, 91]), vocal_range) == -12
    assert key_shift_for(a_track([]), vocal_range) == 0
    assert key_shift_for(a_track([40, 60, 62, 64, 65, 67, 69, 71]), vocal_range) == 0, "one hum below it moves no song"


def test_the_key_moves_by_less_only_where_no_octave_will_do() -> None:
    vocal_range = VocalRange(60, (5.0,) * 5)
    assert key_shift_for(a_track([66, 67, 68, 69]), vocal_range) in (-5, -6)


def test_notes_outside_the_range_are_named_with_their_seconds() -> None:
    vocal_range = VocalRange(60, (1.0, 1.0, 0.0, 1.0))
    outside = notes_outside_range(a_track([48, 49, 50, 70]), vocal_range, 12)
    assert outside == pytest.approx({62: 0.5, 82: 0.5})


def test_world_sings_the_same_notes_from_another_throat() -> None:
    rng = np.random.default_rng(0)
    audio = np.concatenate([silence(0.3), sung(220, 1.0), rng.normal(0, 0.02, RATE // 5), sung(247, 1.0), silence(0.3)])
    source = Wave(audio.astype(np.float32)[None], RATE)
    voice = load_voice(find_voice("world"), "cpu")
    runs = [np.concatenate(list(convert(source, voice, ConvertSettings(), 0, "cpu")), axis=1) for _ in range(2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert runs[0].shape == source.samples.shape
    hz, truth = track_f0(Wave(runs[0], RATE), F0Settings()).hz, track_f0(source, F0Settings()).hz
    both = (hz > 0) & (truth > 0)
    assert both.sum() > 180
    assert np.median(np.abs(1200 * np.log2(hz[both] / truth[both]))) < 10
    difference = np.abs(runs[0][0] - source.samples[0]).max()
    assert difference > 0.02
