"""Settings of transcription: of notes, drums, sung notes and the melody."""

from dataclasses import dataclass, field

from models.core.validation import check_ranges
from models.transcription.basic_pitch.coefficients import (
    BASS_COEFFICIENTS,
    HARMONY_COEFFICIENTS,
    HARMONY_SONG_COEFFICIENTS,
    MELODY_COEFFICIENTS,
    MELODY_SONG_COEFFICIENTS,
    NoteCoefficients,
    SongNoteCoefficients,
)


@dataclass(frozen=True)
class TranscribeSettings:
    """How posteriors become notes.

    A note starts where the onset posterior peaks above `onset_threshold` and lasts while the frame posterior stays
    above `frame_threshold` (but for gaps of up to `gap_s`); notes shorter than `minimum_s` are dropped, and so are
    those that the note filter with `coefficients` (None: no filter) gives a probability below `min_probability`. Where
    the rest of the song is known, its mix gives candidates, too, and `song_coefficients` and `song_min_probability` are
    the filter's. Pitches outside `lowest`..`highest` (MIDI) are ignored. `single_voice`: at most one note at a time.
    `batch` windows of 2 s are computed at once on `threads` CPU threads.
    """

    onset_threshold: float = 0.5
    frame_threshold: float = 0.3
    minimum_s: float = 0.08
    gap_s: float = 0.13
    lowest: int = 21
    highest: int = 108
    coefficients: NoteCoefficients | None = None
    min_probability: float = 0.0
    song_coefficients: SongNoteCoefficients | None = None
    song_min_probability: float = 0.0
    single_voice: bool = False
    batch: int = 8
    threads: int = 1

    def __post_init__(self) -> None:
        check_ranges(
            self, onset_threshold=(0, 1), frame_threshold=(0, 1), min_probability=(0, 1), song_min_probability=(0, 1)
        )
        check_ranges(self, minimum_s=(0, 10), gap_s=(0, 10), lowest=(0, 127), highest=(0, 127))
        check_ranges(self, batch=(1, 1024), threads=(1, 256))


BASS_SETTINGS = TranscribeSettings(
    0.3, 0.3, lowest=26, highest=67, coefficients=BASS_COEFFICIENTS, min_probability=0.12, single_voice=True
)
"""For a bass stem: low, monophonic."""

HARMONY_SETTINGS = TranscribeSettings(
    onset_threshold=0.25,
    frame_threshold=0.2,
    lowest=33,
    highest=100,
    coefficients=HARMONY_COEFFICIENTS,
    min_probability=0.1,
    song_coefficients=HARMONY_SONG_COEFFICIENTS,
    song_min_probability=0.25,
)
"""For a stem of harmony: polyphonic."""

MELODY_SETTINGS = TranscribeSettings(
    onset_threshold=0.2,
    frame_threshold=0.2,
    lowest=45,
    highest=88,
    coefficients=MELODY_COEFFICIENTS,
    min_probability=0.05,
    song_coefficients=MELODY_SONG_COEFFICIENTS,
    song_min_probability=0.16,
    single_voice=True,
)
"""For a melody in a stem with leaks of other instruments: the middle register, monophonic."""


@dataclass(frozen=True)
class DrumSettings:
    """How drum onsets are detected and classified.

    An onset counts from `onset` times the 95th percentile of the song's onsets on, two of them at least `apart_s`
    apart. A drum is active there if it makes up at least `share` of the new spectrum (`rare_share` for toms and
    cymbals), and is at least `threshold` times as strong as its own 90th percentile. Below `silence_dbfs` there are
    none; a stem whose loudest second is more than `residue_db` below the song's is separation residue.
    """

    onset: float = 0.1
    apart_s: float = 0.04
    share: float = 0.07
    rare_share: float = 0.35
    threshold: float = 0.08
    silence_dbfs: float = -90.0
    residue_db: float = 20.0

    def __post_init__(self) -> None:
        check_ranges(self, onset=(0, 10), apart_s=(0, 10), share=(0, 1), rare_share=(0, 1), threshold=(0, 10))
        check_ranges(self, silence_dbfs=(-200, 0), residue_db=(0, 120))


@dataclass(frozen=True)
class VocalNoteSettings:
    """How a pitch track is segmented into notes.

    Each frame is one semitone or none: the path that minimises squared distance from the track plus `change_cost` a
    change of semitone (in squared semitones times frames of 10 ms). Notes shorter than `minimum_s` are dropped; gaps up
    to `bridge_s` inside one pitch are bridged unless the level dips by `dip_db` there. Notes that stay `faint_db` below
    the stem's 95th percentile are separation residue.
    """

    change_cost: float = 6.0
    minimum_s: float = 0.08
    bridge_s: float = 0.05
    dip_db: float = 6.0
    faint_db: float = 18.0

    def __post_init__(self) -> None:
        check_ranges(self, change_cost=(0, 10_000), minimum_s=(0, 10), bridge_s=(0, 10))
        check_ranges(self, dip_db=(0, 120), faint_db=(0, 120))


@dataclass(frozen=True)
class MelodySettings:
    """How a melody is transcribed.

    The pitch track is used (with settings `sung`) where it agrees with Basic Pitch in at least `least_agreement` of the
    voiced frames; else the stem holds leaks of a band rather than a voice, and Basic Pitch alone is used (with settings
    `leaky`). A note of the pitch track, which begins with its voiced consonant, is moved to the largest onset posterior
    within `near_s`, where that is at least `least_onset`.
    """

    sung: VocalNoteSettings = field(default_factory=VocalNoteSettings)
    leaky: TranscribeSettings = MELODY_SETTINGS
    least_agreement: float = 0.85
    near_s: float = 0.1
    least_onset: float = 0.1

    def __post_init__(self) -> None:
        check_ranges(self, least_agreement=(0, 1), near_s=(0, 1), least_onset=(0, 1))


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of each stem's transcription."""

    bass: TranscribeSettings = BASS_SETTINGS
    other: TranscribeSettings = HARMONY_SETTINGS
    drums: DrumSettings = field(default_factory=DrumSettings)
    vocals: MelodySettings = field(default_factory=MelodySettings)


DRUM_DEFAULTS = DrumSettings()
VOCAL_NOTE_DEFAULTS = VocalNoteSettings()
SCORE_DEFAULTS = ScoreSettings()
