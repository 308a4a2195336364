"""Settings of analysis: of beats, chords and key, and of the pitch track."""

from dataclasses import dataclass

from models.core.errors import BadInput
from models.core.validation import check_order, check_ranges


@dataclass(frozen=True)
class ListenSettings:
    """How beats, downbeats and chords are estimated.

    `tracker` names the beat tracker's weights. Beats lie between `slowest_bpm` and `fastest_bpm`; `tempo_cost` is the
    penalty on a relative change of tempo from one beat to the next, `beat_cost` on a beat (one of activation 1 gains
    1), and `attack` the weight of onset strength on it. A bar has one of `metres` beats and begins where the harmony
    changes, kick, bass and others have onsets, and the network predicts a downbeat, whose logit has weight `downbeats`;
    an irregular bar costs `bar_cost`. `chord_cost` is the penalty on a change of chord, half of it where a bar begins.
    Sound below `silence_dbfs` is silence, for which the grid has the constant tempo `silent_bpm`.
    """

    tracker: str = "small"
    slowest_bpm: float = 48.0
    fastest_bpm: float = 205.0
    tempo_cost: float = 40.0
    beat_cost: float = 0.4
    attack: float = 0.15
    metres: tuple[int, ...] = (4, 3)
    downbeats: float = 0.5
    bar_cost: float = 12.0
    chord_cost: float = 1.5
    silence_dbfs: float = -60.0
    silent_bpm: float = 120.0

    def __post_init__(self) -> None:
        check_ranges(self, slowest_bpm=(20, 400), fastest_bpm=(20, 400), silent_bpm=(20, 400), metres=(2, 16))
        check_ranges(self, tempo_cost=(0, 10_000), beat_cost=(0, 100), attack=(0, 100), downbeats=(0, 100))
        check_ranges(self, bar_cost=(0, 10_000), chord_cost=(0, 100), silence_dbfs=(-200, 0))
        check_order(self, "slowest_bpm", "fastest_bpm")
        if not self.metres:
            raise BadInput("The setting metres is empty; it must name how many beats a bar may have.")


@dataclass(frozen=True)
class PitchSettings:
    """How pitch is tracked.

    `floor_hz` and `ceiling_hz` bound the voice; `gate_db` is the level below the 95th percentile of frame levels under
    which a frame counts as residue and has no pitch; `silence_dbfs` the absolute one. The four costs are Boersma's: of
    low candidates, of octave jumps, of changes of voicing (the last two a 10 ms step), and the strength of the unvoiced
    candidate. A voice more than `residue_db` below its song's mean level is separation residue.
    """

    floor_hz: float = 60.0
    ceiling_hz: float = 1100.0
    hop_s: float = 0.01
    gate_db: float = 42.0
    silence_dbfs: float = -60.0
    octave_cost: float = 0.02
    jump_cost: float = 0.35
    voicing_cost: float = 0.14
    unvoiced_strength: float = 0.45
    residue_db: float = 12.0

    def __post_init__(self) -> None:
        check_ranges(self, floor_hz=(20, 1000), ceiling_hz=(50, 4000), hop_s=(0.001, 0.1), gate_db=(0, 120))
        check_ranges(self, silence_dbfs=(-200, 0), residue_db=(0, 120), unvoiced_strength=(0, 10))
        check_ranges(self, octave_cost=(0, 100), jump_cost=(0, 100), voicing_cost=(0, 100))
        check_order(self, "floor_hz", "ceiling_hz")


LISTEN_DEFAULTS = ListenSettings()
