"""Settings of the mixer and of mastering."""

from dataclasses import dataclass

from models.core.validation import check_settings, setting


@dataclass(frozen=True)
class MixSettings:
    """Every gain and effect of the mixer."""

    high_pass_hz: float = setting(80.0, "High-pass of the voice; 0 is off.", 0, 2000)
    gate_below_db: float = setting(28.0, "The gate closes this far below the voice's active level.", 0, 120)
    gate_range_db: float = setting(36.0, "Attenuation of the closed gate; 0 is off.", 0, 120)
    gate_before_s: float = setting(0.5, "The gate opens this long before the voice.", 0, 30)
    gate_after_s: float = setting(0.35, "The gate closes this long after the voice.", 0, 30)
    compressor_threshold_db: float = setting(-2.0, "The compressor's threshold, from the active level.", -120, 60)
    compressor_ratio: float = setting(2.5, "The compressor's ratio; 1 is off.", 1, 100)
    compressor_knee_db: float = setting(6.0, "The compressor's knee.", 0, 120)
    compressor_attack_s: float = setting(0.015, "The compressor's attack.", 0, 1)
    compressor_release_s: float = setting(0.15, "The compressor's release.", 0.001, 10)
    deess_hz: float = setting(5500.0, "The de-esser's band begins here.", 500, 20_000)
    deess_below_db: float = setting(16.0, "The de-esser's threshold below the voice's active level.", 0, 120)
    deess_max_db: float = setting(6.0, "The de-esser's greatest attenuation; 0 is off.", 0, 120)
    voice_send_db: float = setting(-19.0, "The voice's send to the room; -90 is off.", -120, 60)
    backing_send_db: float = setting(-30.0, "The backing's send to the room; -90 is off.", -120, 60)
    room_s: float = setting(1.3, "Reverberation time of the room.", 0.05, 20)
    room_predelay_s: float = setting(0.02, "Delay before the room answers.", 0, 1)
    duck_db: float = setting(1.5, "How far the backing is lowered under the voice; 0 is off.", 0, 120)
    duck_attack_s: float = setting(0.06, "Attack of the ducking.", 0, 10)
    duck_release_s: float = setting(0.35, "Release of the ducking.", 0.001, 10)
    voice_width_db: float = setting(0.0, "Gain of the voice's side signal.", -120, 60)
    backing_width_db: float = setting(1.0, "Gain of the backing's side signal.", -120, 60)
    balance: bool = setting(True, "Take the balance of voice and backing from the original, section by section.")
    voice_over_backing_db: float = setting(0.0, "The balance where the original has none.", -120, 60)
    section_range_db: float = setting(18.0, "Sections stay this close to their median balance.", 0, 120)
    section_glide_s: float = setting(0.5, "Time that the balance takes from one section to the next.", 0, 30)
    voice_gain_db: float = setting(0.0, "Added to the voice's balance.", -120, 60)
    backing_gain_db: float = setting(0.0, "Added to the backing's balance.", -120, 60)
    crossfade_s: float = setting(0.4, "Crossfade from the song to its continuation.", 0, 30)
    end_fade_s: float = setting(0.05, "Fade at the end.", 0, 30)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class MasterSettings:
    """How the mix is mastered."""

    target_lufs: float = setting(-14.0, "The integrated loudness to reach (ITU-R BS.1770-4).", -70, 0)
    ceiling_dbtp: float = setting(-1.0, "The true peak stays below it.", -40, 0)
    max_limiting_db: float = setting(6.0, "The target is not reached where that would take more limiting.", 0, 60)
    lookahead_s: float = setting(0.004, "How far the limiter looks ahead.", 0, 0.1)
    release_s: float = setting(0.08, "Time in which the limiter releases by 1/e.", 0.001, 10)

    def __post_init__(self) -> None:
        check_settings(self)


MASTER_DEFAULTS = MasterSettings()
