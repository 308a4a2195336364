"""Settings of analysis: of beats, chords and key, and of the f0 track."""

from dataclasses import dataclass

from models.core.errors import BadInput
from models.core.validation import check_order, check_settings, setting


@dataclass(frozen=True)
class AnalyseSettings:
    """How beats, downbeats, key and chords are estimated."""

    tracker: str = setting("small", "Name of the beat tracker's weights.")
    slowest_bpm: float = setting(48.0, "The slowest tempo.", 20, 400)
    fastest_bpm: float = setting(205.0, "The fastest tempo.", 20, 400)
    tempo_cost: float = setting(40.0, "Penalty on a relative change of tempo from one beat to the next.", 0, 10_000)
    beat_cost: float = setting(0.4, "Penalty on a beat; one of activation 1 gains 1.", 0, 100)
    attack: float = setting(0.15, "Weight of onset strength on a beat.", 0, 100)
    metres: tuple[int, ...] = setting((4, 3), "How many beats a bar may have.", 2, 16, "beats")
    downbeats: float = setting(
        0.5, "Weight of the network's downbeat logit, beside changes of harmony and onsets.", 0, 100
    )
    bar_cost: float = setting(12.0, "Penalty on an irregular bar.", 0, 10_000)
    chord_cost: float = setting(1.5, "Penalty on a change of chord, half of it where a bar begins.", 0, 100)
    silence_dbfs: float = setting(-60.0, "Sound below it is silence.", -200, 0)
    silent_bpm: float = setting(120.0, "The tempo that silence is given.", 20, 400)

    def __post_init__(self) -> None:
        check_settings(self)
        check_order(self, "slowest_bpm", "fastest_bpm")
        if not self.metres:
            raise BadInput("The setting metres is empty; it must name how many beats a bar may have.")


@dataclass(frozen=True)
class F0Settings:
    """How f0 is tracked; the four costs are Boersma's (1993), those of jumps and of voicing a step of 10 ms."""

    floor_hz: float = setting(60.0, "The lowest f0.", 20, 1000)
    ceiling_hz: float = setting(1100.0, "The highest f0.", 50, 4000)
    hop_s: float = setting(0.01, "Time between frames.", 0.001, 0.1)
    gate_db: float = setting(42.0, "A frame this far below the 95th percentile of level is unvoiced.", 0, 120)
    silence_dbfs: float = setting(-60.0, "A frame below it is unvoiced.", -200, 0)
    octave_cost: float = setting(0.02, "Penalty on low candidates, an octave.", 0, 100)
    jump_cost: float = setting(0.35, "Penalty on a jump of an octave from one frame to the next.", 0, 100)
    voicing_cost: float = setting(0.14, "Penalty on a change of voicing from one frame to the next.", 0, 100)
    unvoiced_strength: float = setting(0.45, "Strength of the unvoiced candidate.", 0, 10)
    residue_db: float = setting(12.0, "A voice this far below its song's mean level is separation residue.", 0, 120)

    def __post_init__(self) -> None:
        check_settings(self)
        check_order(self, "floor_hz", "ceiling_hz")


ANALYSE_DEFAULTS = AnalyseSettings()
