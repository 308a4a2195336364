"""Logistic-regression coefficients of the note filter.

Fitted to songs of POP909 (those whose number ends in 3), rendered and as a separator leaves them; `remix eval
transcription` measures them on others.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NoteCoefficients:
    """Logistic-regression coefficients of a note's features, and the `intercept`.

    `onset` is the onset posterior; `sounding` the frame posterior while it lasts, `before` just before it;
    `octave_below` to `two_octaves_below` those of other pitches meanwhile; `onset_below` and `onset_above` the onset
    posteriors an octave away; `loudness` the stem's level in units of 20 dB relative to its 95th percentile.
    """

    onset: float
    sounding: float
    before: float
    octave_below: float
    octave_above: float
    twelfth_below: float
    twelfth_above: float
    two_octaves_below: float
    onset_below: float
    onset_above: float
    loudness: float
    intercept: float


BASS_COEFFICIENTS = NoteCoefficients(8.8, 10.5, -6.6, -7.4, -3.3, -3.1, -4.2, -1.5, -1.0, 3.8, 0.0, -9.6)
HARMONY_COEFFICIENTS = NoteCoefficients(4.8, 5.5, -6.7, -1.0, -2.4, -0.5, -0.8, -1.2, 0.9, 3.1, 0.0, -5.7)
MELODY_COEFFICIENTS = NoteCoefficients(2.9, 1.3, -1.7, -1.2, -3.0, 0.9, -6.5, 3.6, 1.9, -1.7, 1.4, -4.3)


@dataclass(frozen=True)
class SongNoteCoefficients:
    """Coefficients of a note where the posteriors of the rest of its song are known, too.

    `stem` are those of its own stem's features; then `onset`, `sounding` and `before` of the same pitch in the song's
    mix, its bass and the `counterpart` stem: the vocals for harmony, the harmony for vocals.
    """

    stem: NoteCoefficients
    mix: tuple[float, float, float]
    bass: tuple[float, float, float]
    counterpart: tuple[float, float, float]


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
