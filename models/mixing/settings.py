"""Settings of the mixer and of mastering."""

from dataclasses import dataclass

from models.core.validation import check_ranges


@dataclass(frozen=True)
class MixSettings:
    """Every gain and effect: decibels (`_db`), seconds (`_s`), hertz (`_hz`).

    `gate_below_db`, `compressor_threshold_db` and `deess_below_db` are relative to the voice's own active level. A
    width is the gain of the side signal. `voice_gain_db` and `backing_gain_db` are added to the balance taken from the
    original; `voice_over_backing_db` replaces it where the original has none. Sections stay within `section_range_db`
    of their median. An effect is off at `high_pass_hz` 0, `gate_range_db` 0, `compressor_ratio` 1, `deess_max_db` 0,
    `duck_db` 0 or a send of -90.
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
class MasterSettings:
    """`target_lufs` (LUFS) is reached unless that would take more than `max_limiting_db` (dB) of limiting.

    The true peak stays below `ceiling_dbtp` (dBTP); the limiter looks `lookahead_s` ahead and releases by 1/e in
    `release_s` (seconds).
    """

    target_lufs: float = -14.0
    ceiling_dbtp: float = -1.0
    max_limiting_db: float = 6.0
    lookahead_s: float = 0.004
    release_s: float = 0.08

    def __post_init__(self) -> None:
        check_ranges(
            self,
            target_lufs=(-70, 0),
            ceiling_dbtp=(-40, 0),
            max_limiting_db=(0, 60),
            lookahead_s=(0, 0.1),
            release_s=(0.001, 10),
        )


MASTER_DEFAULTS = MasterSettings()
