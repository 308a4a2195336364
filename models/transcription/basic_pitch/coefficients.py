"""Logistic-regression coefficients of the note filter.

Fitted to songs of POP909 (those whose number ends in 3), rendered and as a separator leaves them; `remix eval
transcription` measures them on others.
"""

from dataclasses import MISSING, dataclass

from models.core.validation import setting


@dataclass(frozen=True)
class NoteCoefficients:
    """Logistic-regression coefficients of a note's features, and the `intercept`."""

    onset: float = setting(MISSING, "Coefficient of the onset posterior.")
    sounding: float = setting(MISSING, "Coefficient of the frame posterior while the note lasts.")
    before: float = setting(MISSING, "Coefficient of the frame posterior just before it.")
    octave_below: float = setting(MISSING, "Coefficient of the frame posterior an octave below.")
    octave_above: float = setting(MISSING, "Coefficient of the frame posterior an octave above.")
    twelfth_below: float = setting(MISSING, "Coefficient of the frame posterior a twelfth below.")
    twelfth_above: float = setting(MISSING, "Coefficient of the frame posterior a twelfth above.")
    two_octaves_below: float = setting(MISSING, "Coefficient of the frame posterior two octaves below.")
    onset_below: float = setting(MISSING, "Coefficient of the onset posterior an octave below.")
    onset_above: float = setting(MISSING, "Coefficient of the onset posterior an octave above.")
    loudness: float = setting(MISSING, "Coefficient of the level from the stem's 95th percentile.", unit="per 20 dB")
    intercept: float = setting(MISSING, "The intercept.")


BASS_COEFFICIENTS = NoteCoefficients(8.8, 10.5, -6.6, -7.4, -3.3, -3.1, -4.2, -1.5, -1.0, 3.8, 0.0, -9.6)
HARMONY_COEFFICIENTS = NoteCoefficients(4.8, 5.5, -6.7, -1.0, -2.4, -0.5, -0.8, -1.2, 0.9, 3.1, 0.0, -5.7)
MELODY_COEFFICIENTS = NoteCoefficients(2.9, 1.3, -1.7, -1.2, -3.0, 0.9, -6.5, 3.6, 1.9, -1.7, 1.4, -4.3)


@dataclass(frozen=True)
class SongNoteCoefficients:
    """Coefficients of a note where the posteriors of the rest of its song are known, too; `stem` of its own stem's."""

    stem: NoteCoefficients
    mix: tuple[float, float, float] = setting(MISSING, "Coefficients of onset, sounding and before in the song's mix.")
    bass: tuple[float, float, float] = setting(MISSING, "The same of its bass.")
    counterpart: tuple[float, float, float] = setting(
        MISSING, "The same of the counterpart: the vocals for harmony, the harmony for vocals."
    )


HARMONY_SONG_COEFFICIENTS = SongNoteCoefficients(
    NoteCoefficients(3.8, 4.3, -3.1, -0.4, -0.8, -0.4, -0.1, -2.3, 1.1, 1.0, 0.0, -5.8),
    mix=(2.1, 0.7, -2.6),
    bass=(0.7, -4.2, -0.2),
    counterpart=(0.4, 1.1, -0.2),
)
"""Fitted to 44 of those songs, with stems of the shipped separator and true ones."""

MELODY_SONG_COEFFICIENTS = SongNoteCoefficients(
    NoteCoefficients(2.6, 3.9, -3.1, -2.4, -2.7, -1.8, -1.3, -0.5, 1.4, -1.0, 0.4, -3.6),
    mix=(1.2, 4.3, -4.6),
    bass=(-1.0, -3.1, -0.5),
    counterpart=(0.4, -0.7, -0.8),
)
"""Fitted to 13 of them whose melody is sung, with both kinds of stems."""
