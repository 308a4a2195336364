"""Settings of rendering with a SoundFont."""

from dataclasses import dataclass

from models.core.validation import check_settings, setting


@dataclass(frozen=True)
class RenderSettings:
    """How a score is rendered."""

    soundfont: str = setting("", "A .sf2 or .sf3 file; empty for the General MIDI one inside pretty_midi.")
    instruments: tuple[tuple[str, str], ...] = setting(
        (),
        "Pairs of a track and a General MIDI name (for drums a kit), or auto for the track's own program; "
        "other is every track without a pair but bass, melody and drums.",
    )
    gain_db: float = setting(-6.0, "Gain of all tracks.", -120, 60)
    track_gains_db: tuple[tuple[str, float], ...] = setting((), "Pairs of a track and its gain.", -120, 60)
    pans: tuple[tuple[str, float], ...] = setting((), "Pairs of a track and its pan, -1 (left) to 1 (right).", -1, 1)
    voices: int = setting(512, "Polyphony; beyond it the oldest voices are cut.", 1, 4096, "voices")

    def __post_init__(self) -> None:
        check_settings(self)
