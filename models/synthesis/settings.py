"""Settings of rendering with a SoundFont."""

from dataclasses import dataclass

from models.core.validation import check_ranges


@dataclass(frozen=True)
class RenderSettings:
    """How a score is rendered.

    `soundfont` is a .sf2 or .sf3 file (empty: the General MIDI one inside pretty_midi). `instruments` pairs a track's
    name with a General MIDI name ("electric_piano"; for the drums a kit's), or "auto" for the program the track
    carries; "other" stands for every track without an entry of its own but bass, melody and drums. `gain_db` is applied
    to all; `track_gains_db` pairs a track's name with a gain in dB of its own, `pans` with its pan, -1 (left) to 1
    (right). `voices` is the polyphony: beyond it the oldest voices are cut.
    """

    soundfont: str = ""
    instruments: tuple[tuple[str, str], ...] = ()
    gain_db: float = -6.0
    track_gains_db: tuple[tuple[str, float], ...] = ()
    pans: tuple[tuple[str, float], ...] = ()
    voices: int = 512

    def __post_init__(self) -> None:
        check_ranges(self, gain_db=(-120, 60), track_gains_db=(-120, 60), pans=(-1, 1), voices=(1, 4096))
