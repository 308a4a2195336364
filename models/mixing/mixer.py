"""The mix: voices and backing with dynamics, reverb and the section balance of the original song.

The voice: high-pass, gate between phrases (breaths stay), compression, de-essing, a reverb send. The backing: parts
placed and cross-faded, ducked under the voice, widened. Then each section gets the original's levels of both.

The effects are numpy and scipy.signal. ffmpeg's filters would be a separate process whose gate and ducking see only
what is piped to them (ours are keyed by the original's voice and look ahead over the whole song, without latency);
several have a latency that must be measured and compensated; and their output changes with the build, while equal
inputs must give equal bytes. pedalboard is GPLv3. ffmpeg's ebur128 is the independent meter of the tests.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec

import numpy as np
from scipy.signal import butter

from models.audio.loudness import BLOCK, PowerCurve
from models.audio.reverb import room_impulse_response
from models.core.dtypes import DoubleArray, FloatArray
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.mixing import dynamics
from models.mixing.dynamics import STEPS_PER_100_MS, gain_between, step_frames
from models.mixing.effects import ConvolutionReverb, high_pass, stereo_width, zero_phase
from models.mixing.parts import MixPart, level_matched, parts_power, sum_parts
from models.mixing.section_balance import BusPowers, balance_sections, section_bounds
from models.mixing.settings import MixSettings

__all__ = ["Buses", "MixPart", "Original", "mix", "mix_buses"]

OFF_DB = -90.0
"""A send at or below this is off."""


@dataclass(frozen=True)
class Original:
    """The song the balance is taken from: its stems and the starts of its sections in seconds (none: one section).

    Without stems there is no balance to take, and the parts keep their levels.
    """

    voices: Sequence[Source] = ()
    backing: Sequence[Source] = ()
    sections_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Buses:
    """One block of the finished mix as two stereo buses: voice and backing."""

    voice: Samples
    backing: Samples


P = ParamSpec("P")


def mix_buses(
    voices: Sequence[MixPart],
    backing: Sequence[MixPart],
    original: Original,
    frames: int,
    sample_rate: int,
    settings: MixSettings,
    watch: Watch = UNWATCHED,
) -> Iterator[Buses]:
    """The mix in stereo blocks, voice and backing apart, `frames` in all, not limited, without latency.

    Reads everything three times, in blocks: for the dynamics, for the levels of voice and backing, and for the mix.
    Raises `BadInput` for a part at another rate or with more than two channels.
    """
    references = [part.level_reference for part in (*voices, *backing) if part.level_reference is not None]
    for source in [*(p.source for p in (*voices, *backing)), *references, *original.voices, *original.backing]:
        if source.sample_rate != sample_rate or source.channels > 2:
            raise BadInput(
                f"A part of the mix has {source.channels} channels at {source.sample_rate} Hz; "
                f"the mix takes mono or stereo at {sample_rate} Hz."
            )
    watch, before = watch.span(0.1, 1.0), watch.span(0.0, 0.1)
    voices, backing = ([level_matched(part, frames, before) for part in bus] for bus in (voices, backing))
    renderer = _MixRenderer(voices, backing, frames, sample_rate, settings)
    stems = [[MixPart(source) for source in bus] for bus in (original.voices, original.backing)]
    originals = [
        parts_power(bus, frames, sample_rate, watch.span(low, low + 0.1))
        for bus, low in zip(stems, (0, 0.1), strict=True)
    ]
    renderer.plan_dynamics(originals[0], watch.span(0.2, 0.35))
    if settings.balance and (original.voices or original.backing):
        renderer.plan_balance(original, originals, watch.span(0.35, 0.65))
    renderer.add_gains(settings.voice_gain_db, settings.backing_gain_db)
    yield from renderer.render(watch.span(0.65, 1.0))


def _sum_of_buses(buses: Callable[P, Iterator[Buses]]) -> Callable[P, Iterator[Samples]]:
    def blocks(*args: P.args, **kwargs: P.kwargs) -> Iterator[Samples]:
        for block in buses(*args, **kwargs):
            yield block.voice + block.backing

    return blocks


mix = _sum_of_buses(mix_buses)
"""The mix in stereo blocks, not limited: the sum of `mix_buses`, with its arguments."""


@dataclass
class _MixRenderer:
    """The parts and their gain curves; `render` starts from the beginning each time."""

    voices: Sequence[MixPart]
    backing: Sequence[MixPart]
    frames: int
    sample_rate: int
    settings: MixSettings
    voice_db: DoubleArray = field(init=False)
    deess_db: DoubleArray = field(init=False)
    backing_db: DoubleArray = field(init=False)
    faders_db: list[DoubleArray] = field(init=False)

    def __post_init__(self) -> None:
        self.step = step_frames(self.sample_rate)
        flat = np.zeros(max(1, -(-self.frames // self.step)))
        self.voice_db, self.deess_db, self.backing_db, self.faders_db = flat, flat, flat, [flat, flat]

    def plan_dynamics(self, original_voice: DoubleArray, watch: Watch) -> None:
        """Compute gate, compression, de-essing and ducking.

        Gate and ducking are keyed by the original's voice if it has one, where the pauses are free of residue.
        """
        s, rate = self.settings, self.sample_rate
        power = parts_power(self.voices, self.frames, rate, watch.span(0, 0.5))
        singing = dynamics.singing_mask(original_voice if original_voice.any() else power, s.gate_below_db)
        if not singing.any() or not power.any():
            return
        sibilants = butter(2, min(s.deess_hz, 0.45 * rate), "highpass", fs=rate, output="sos")
        high = parts_power(self.voices, self.frames, rate, watch.span(0.5, 1), sibilants)
        active = dynamics.active_level(power)
        gated = dynamics.gate(singing, s.gate_range_db, s.gate_before_s, s.gate_after_s)
        level = dynamics.level_above(power, active) - gated
        compressed = dynamics.compressor(level, s.compressor_threshold_db, s.compressor_ratio, s.compressor_knee_db)
        self.voice_db = -gated - dynamics.smoothed_reduction(compressed, s.compressor_attack_s, s.compressor_release_s)
        sibilance = np.clip(dynamics.level_above(high, active) + s.deess_below_db, 0, s.deess_max_db)
        self.deess_db = -dynamics.smoothed_reduction(sibilance, 0.005, 0.03)
        self.backing_db = -dynamics.smoothed_reduction(
            np.where(singing, s.duck_db, 0.0), s.duck_attack_s, s.duck_release_s
        )

    def plan_balance(self, original: Original, originals: Sequence[DoubleArray], watch: Watch) -> None:
        """Meter both buses, and give each section the original's levels, with a glide from one to the next."""
        s, tenth_s = self.settings, STEPS_PER_100_MS * self.step / self.sample_rate
        meters = [PowerCurve(self.sample_rate, 2, STEPS_PER_100_MS * self.step) for _ in range(2)]
        for block in self.render(watch):
            meters[0].add(block.voice)
            meters[1].add(block.backing)
        end_s = self.frames / self.sample_rate
        original_s = max((x.frames for x in (*original.voices, *original.backing)), default=0) / self.sample_rate
        bounds_s = section_bounds(original.sections_s, original_s, end_s)
        original_powers = BusPowers(*(dynamics.powers_100_ms(curve) for curve in originals))
        new = BusPowers(*(meter.powers() for meter in meters))
        gains = balance_sections(
            original_powers, new, bounds_s, original_s, tenth_s, s.voice_over_backing_db, s.section_range_db
        )
        times = (np.arange(len(self.voice_db)) + 0.5) * self.step / self.sample_rate
        section = np.searchsorted(bounds_s[1:-1], times, side="right")
        self.faders_db = [dynamics.smooth(db[section], s.section_glide_s) for db in (gains.voice_db, gains.backing_db)]

    def add_gains(self, *gains_db: float) -> None:
        """Add a gain in dB to each bus, voice and backing."""
        self.faders_db = [fader + gain for fader, gain in zip(self.faders_db, gains_db, strict=True)]

    def render(self, watch: Watch) -> Iterator[Buses]:
        """Every block of both buses."""
        s, rate = self.settings, self.sample_rate
        response = room_impulse_response(s.room_s, rate, 0, s.room_predelay_s)
        reverbs = [
            ConvolutionReverb(response, send) if send > OFF_DB else None
            for send in (s.voice_send_db, s.backing_send_db)
        ]
        high_pass_taps = high_pass(s.high_pass_hz, rate)
        deess_taps = high_pass(s.deess_hz if s.deess_max_db > 0 else 0, rate)
        for start in range(0, self.frames, BLOCK):
            watch.at(start / self.frames)
            stop = min(start + BLOCK, self.frames)
            voice = self._voice(start, stop, high_pass_taps, deess_taps)
            backing = sum_parts(self.backing, start, stop, rate, s.crossfade_s)
            backing = backing * gain_between(self.backing_db, start, stop, self.step)
            buses = []
            for sound, reverb, width_db, fader in zip(
                (voice, backing), reverbs, (s.voice_width_db, s.backing_width_db), self.faders_db, strict=True
            ):
                sound = stereo_width(sound + reverb(sound) if reverb else sound, width_db)
                sound = sound * gain_between(fader, start, stop, self.step) * self._end_fade(start, stop)
                buses.append(sound.astype(np.float32, copy=False))
            yield Buses(*buses)
        watch.at(1.0)

    def _voice(self, start: int, stop: int, high_pass_taps: FloatArray, deess_taps: FloatArray) -> Samples:
        """The voices through high-pass, gate, compressor and de-esser; filters read ahead by half their length."""
        if not self.voices:
            return np.zeros((2, stop - start), np.float32)
        deess_margin = len(deess_taps) // 2
        margin = deess_margin + len(high_pass_taps) // 2
        sound = sum_parts(self.voices, start - margin, stop + margin, self.sample_rate, self.settings.crossfade_s)
        sound = zero_phase(high_pass_taps, sound) * gain_between(
            self.voice_db, start - deess_margin, stop + deess_margin, self.step
        )
        if deess_margin:
            deess_share = 1 - gain_between(self.deess_db, start, stop, self.step)
            sound = sound[:, deess_margin:-deess_margin] - deess_share * zero_phase(deess_taps, sound)
        return sound

    def _end_fade(self, start: int, stop: int) -> FloatArray:
        """The fade-out at the end of the track."""
        fade = max(1, round(self.settings.end_fade_s * self.sample_rate))
        return np.minimum((self.frames - np.arange(start, stop)) / fade, 1).astype(np.float32)
