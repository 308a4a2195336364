"""Voices and a backing made into one track that holds together, with the balance the original song had.

The voice: high-pass, gate between phrases (breaths stay), compression, de-essing, a send to a room. The backing: parts
placed and cross-faded, ducked under the voice, widened. Then each section gets the original's levels of both.

The effects are numpy and scipy.signal. ffmpeg's filters would be a separate process whose gate and ducking hear only
what is piped to them (ours are keyed by the original's voice and look ahead over the whole song, at no delay); several
delay by an amount that has to be found out and undone; and their output changes with the build, while equal inputs must
give equal bytes. pedalboard is GPLv3. ffmpeg's ebur128 judges the result in the tests, as a meter that is not ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter

from models.audio.loudness import BLOCK, PowerCurve
from models.audio.reverb import room_impulse_response
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source
from models.core.validation import check_ranges
from models.mixing import dynamics
from models.mixing.dynamics import STEPS_PER_TENTH, Curve, gain_between, step_frames
from models.mixing.effects import Room, Taps, high_pass, widened, zero_phase
from models.mixing.parts import Part, levelled, placed, powers_of
from models.mixing.section_balance import Pair, balance, bounds_of

__all__ = ["Buses", "MixSettings", "Original", "Part", "mix", "mix_buses"]

OFF_DB = -90.0
"""A send at or below this is off."""


@dataclass(frozen=True)
class MixSettings:
    """Every gain and effect: decibels (`_db`), seconds (`_s`), hertz (`_hz`).

    `gate_below_db`, `compressor_threshold_db` and `deess_below_db` are relative to the voice's own active level. A
    width is the gain of the sides against the middle. `voice_gain_db` and `backing_gain_db` come on top of the balance
    taken from the original; `voice_over_backing_db` stands in where the original has none. Sections stay within
    `section_range_db` of their median. An effect is off at `high_pass_hz` 0, `gate_range_db` 0, `compressor_ratio` 1,
    `deess_max_db` 0, `duck_db` 0 or a send of -90.
    """

    high_pass_hz: float = 80.0
    gate_below_db: float = 28.0
    gate_range_db: float = 36.0
    gate_before_s: float = 0.5
    gate_after_s: float = 0.35
    compressor_threshold_db: float = -2.0
    compressor_ratio: float = 2.5
    compressor_knee_db: float = 6.0
    compressor_attack_s: float = 0.015
    compressor_release_s: float = 0.15
    deess_hz: float = 5500.0
    deess_below_db: float = 16.0
    deess_max_db: float = 6.0
    voice_send_db: float = -19.0
    backing_send_db: float = -30.0
    room_s: float = 1.3
    room_predelay_s: float = 0.02
    duck_db: float = 1.5
    duck_attack_s: float = 0.06
    duck_release_s: float = 0.35
    voice_width_db: float = 0.0
    backing_width_db: float = 1.0
    balance: bool = True
    voice_over_backing_db: float = 0.0
    section_range_db: float = 18.0
    section_glide_s: float = 0.5
    voice_gain_db: float = 0.0
    backing_gain_db: float = 0.0
    crossfade_s: float = 0.4
    end_fade_s: float = 0.05

    def __post_init__(self) -> None:
        amount, gain, time, release = (0, 120), (-120, 60), (0, 30), (0.001, 10)
        check_ranges(
            self, high_pass_hz=(0, 2000), gate_below_db=amount, gate_range_db=amount, gate_before_s=time,
            gate_after_s=time, compressor_threshold_db=gain, compressor_ratio=(1, 100), compressor_knee_db=amount,
            compressor_attack_s=(0, 1), compressor_release_s=release, deess_hz=(500, 20_000), deess_below_db=amount,
            deess_max_db=amount, voice_send_db=gain, backing_send_db=gain, room_s=(0.05, 20), room_predelay_s=(0, 1),
            duck_db=amount, duck_attack_s=(0, 10), duck_release_s=release, voice_width_db=gain, backing_width_db=gain,
            voice_over_backing_db=gain, section_range_db=amount, section_glide_s=time, voice_gain_db=gain,
            backing_gain_db=gain, crossfade_s=time, end_fade_s=time,
        )  # fmt: skip


@dataclass(frozen=True)
class Original:
    """The song the balance is taken from: its stems, and the seconds where its sections start (none: it is one).

    With no stems at all there is no balance to take, and the parts stay as loud as they are.
    """

    voices: Sequence[Source] = ()
    backing: Sequence[Source] = ()
    sections_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Buses:
    """One block of the finished mix in two, both stereo: all that comes from the voices, all from the backing."""

    voice: Samples
    backing: Samples


def mix(
    voices: Sequence[Part],
    backing: Sequence[Part],
    original: Original,
    frames: int,
    sample_rate: int,
    settings: MixSettings,
    watch: Watch = UNWATCHED,
) -> Iterator[Samples]:
    """The mix in stereo blocks that add up to `frames`, not limited and not delayed by a sample.

    Reads everything three times, in blocks: to decide the gains, to measure what they make of voice and backing, and to
    mix. Raises `BadInput` for a part at another rate or with more than two channels.
    """
    for block in mix_buses(voices, backing, original, frames, sample_rate, settings, watch):
        yield block.voice + block.backing


def mix_buses(
    voices: Sequence[Part],
    backing: Sequence[Part],
    original: Original,
    frames: int,
    sample_rate: int,
    settings: MixSettings,
    watch: Watch = UNWATCHED,
) -> Iterator[Buses]:
    """As `mix`, voice and backing apart; their sum is the mix."""
    likes = [part.like for part in (*voices, *backing) if part.like is not None]
    for source in [*(p.source for p in (*voices, *backing)), *likes, *original.voices, *original.backing]:
        if source.sample_rate != sample_rate or source.channels > 2:
            raise BadInput(
                f"A part of the mix has {source.channels} channels at {source.sample_rate} Hz; "
                f"the mix takes mono or stereo at {sample_rate} Hz."
            )
    watch, before = watch.span(0.1, 1.0), watch.span(0.0, 0.1)
    voices, backing = ([levelled(part, frames, before) for part in bus] for bus in (voices, backing))
    desk = _Desk(voices, backing, frames, sample_rate, settings)
    stems = [[Part(source) for source in bus] for bus in (original.voices, original.backing)]
    originals = [
        powers_of(bus, frames, sample_rate, watch.span(low, low + 0.1))
        for bus, low in zip(stems, (0, 0.1), strict=True)
    ]
    desk.set_dynamics(originals[0], watch.span(0.2, 0.35))
    if settings.balance and (original.voices or original.backing):
        desk.set_balance(original, originals, watch.span(0.35, 0.65))
    desk.raise_faders(settings.voice_gain_db, settings.backing_gain_db)
    yield from desk.play(watch.span(0.65, 1.0))


@dataclass
class _Desk:
    """The parts with every gain curve decided for them; `play` renders them from the start each time."""

    voices: Sequence[Part]
    backing: Sequence[Part]
    frames: int
    sample_rate: int
    settings: MixSettings
    voice_db: Curve = field(init=False)
    deess_db: Curve = field(init=False)
    backing_db: Curve = field(init=False)
    faders_db: list[Curve] = field(init=False)

    def __post_init__(self) -> None:
        self.step = step_frames(self.sample_rate)
        flat = np.zeros(max(1, -(-self.frames // self.step)))
        self.voice_db, self.deess_db, self.backing_db, self.faders_db = flat, flat, flat, [flat, flat]

    def set_dynamics(self, original_voice: Curve, watch: Watch) -> None:
        """Decide gate, compression, de-essing and ducking.

        Gate and ducking listen to the original's voice if it has one: residue is quiet there, whatever became of it.
        """
        s, rate = self.settings, self.sample_rate
        power = powers_of(self.voices, self.frames, rate, watch.span(0, 0.5))
        singing = dynamics.sung(original_voice if original_voice.any() else power, s.gate_below_db)
        if not singing.any() or not power.any():
            return
        sibilants = butter(2, min(s.deess_hz, 0.45 * rate), "highpass", fs=rate, output="sos")
        high = powers_of(self.voices, self.frames, rate, watch.span(0.5, 1), sibilants)
        active = dynamics.active_level(power)
        gated = dynamics.gate(singing, s.gate_range_db, s.gate_before_s, s.gate_after_s)
        level = dynamics.level_above(power, active) - gated
        pressed = dynamics.compressor(level, s.compressor_threshold_db, s.compressor_ratio, s.compressor_knee_db)
        self.voice_db = -gated - dynamics.timed(pressed, s.compressor_attack_s, s.compressor_release_s)
        harsh = np.clip(dynamics.level_above(high, active) + s.deess_below_db, 0, s.deess_max_db)
        self.deess_db = -dynamics.timed(harsh, 0.005, 0.03)
        self.backing_db = -dynamics.timed(np.where(singing, s.duck_db, 0.0), s.duck_attack_s, s.duck_release_s)

    def set_balance(self, original: Original, originals: Sequence[Curve], watch: Watch) -> None:
        """Measure both buses as they are, and give each section the original's levels, gliding from one to the next."""
        s, tenth_s = self.settings, STEPS_PER_TENTH * self.step / self.sample_rate
        meters = [PowerCurve(self.sample_rate, 2, STEPS_PER_TENTH * self.step) for _ in range(2)]
        for block in self.play(watch):
            meters[0].add(block.voice)
            meters[1].add(block.backing)
        end_s = self.frames / self.sample_rate
        original_s = max((x.frames for x in (*original.voices, *original.backing)), default=0) / self.sample_rate
        bounds_s = bounds_of(original.sections_s, original_s, end_s)
        old = Pair(*(dynamics.tenths(curve) for curve in originals))
        new = Pair(*(meter.powers() for meter in meters))
        gains = balance(old, new, bounds_s, original_s, tenth_s, s.voice_over_backing_db, s.section_range_db)
        times = (np.arange(len(self.voice_db)) + 0.5) * self.step / self.sample_rate
        section = np.searchsorted(bounds_s[1:-1], times, side="right")
        self.faders_db = [dynamics.faded(db[section], s.section_glide_s) for db in (gains.voice_db, gains.backing_db)]

    def raise_faders(self, *gains_db: float) -> None:
        """Add a gain to each bus, voice and backing."""
        self.faders_db = [fader + gain for fader, gain in zip(self.faders_db, gains_db, strict=True)]

    def play(self, watch: Watch) -> Iterator[Buses]:
        """Every block of both buses, from silence."""
        s, rate = self.settings, self.sample_rate
        response = room_impulse_response(s.room_s, rate, 0, s.room_predelay_s)
        rooms = [Room(response, send) if send > OFF_DB else None for send in (s.voice_send_db, s.backing_send_db)]
        low_cut = high_pass(s.high_pass_hz, rate)
        highs = high_pass(s.deess_hz if s.deess_max_db > 0 else 0, rate)
        for start in range(0, self.frames, BLOCK):
            watch.at(start / self.frames)
            stop = min(start + BLOCK, self.frames)
            voice = self._voice(start, stop, low_cut, highs)
            backing = placed(self.backing, start, stop, rate, s.crossfade_s)
            backing = backing * gain_between(self.backing_db, start, stop, self.step)
            buses = []
            for sound, here, width_db, fader in zip(
                (voice, backing), rooms, (s.voice_width_db, s.backing_width_db), self.faders_db, strict=True
            ):
                sound = widened(sound + here(sound) if here else sound, width_db)
                sound = sound * gain_between(fader, start, stop, self.step) * self._ending(start, stop)
                buses.append(sound.astype(np.float32, copy=False))
            yield Buses(*buses)
        watch.at(1.0)

    def _voice(self, start: int, stop: int, low_cut: Taps, highs: Taps) -> Samples:
        """The voices through high-pass, gate, compressor and de-esser; filters read ahead as far as they reach."""
        if not self.voices:
            return np.zeros((2, stop - start), np.float32)
        more = len(highs) // 2
        wide = more + len(low_cut) // 2
        sound = placed(self.voices, start - wide, stop + wide, self.sample_rate, self.settings.crossfade_s)
        sound = zero_phase(low_cut, sound) * gain_between(self.voice_db, start - more, stop + more, self.step)
        if more:
            softer = 1 - gain_between(self.deess_db, start, stop, self.step)
            sound = sound[:, more:-more] - softer * zero_phase(highs, sound)
        return sound

    def _ending(self, start: int, stop: int) -> NDArray[np.float32]:
        """The fade over the last moments of the track."""
        fade = max(1, round(self.settings.end_fade_s * self.sample_rate))
        return np.minimum((self.frames - np.arange(start, stop)) / fade, 1).astype(np.float32)
