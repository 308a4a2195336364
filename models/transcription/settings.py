"""Settings of transcription: of notes, drums, sung notes and the melody."""

from dataclasses import dataclass, field

from models.core.validation import check_settings, setting
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
class NoteSettings:
    """How posteriors become notes."""

    onset_threshold: float = setting(0.5, "A note starts where the onset posterior peaks above it.", 0, 1)
    frame_threshold: float = setting(0.3, "A note lasts while the frame posterior stays above it.", 0, 1)
    minimum_s: float = setting(0.08, "Shorter notes are dropped.", 0, 10)
    gap_s: float = setting(0.13, "Gaps of the frame posterior up to it are bridged.", 0, 10)
    lowest: int = setting(21, "The lowest pitch.", 0, 127, "MIDI note")
    highest: int = setting(108, "The highest pitch.", 0, 127, "MIDI note")
    coefficients: NoteCoefficients | None = setting(None, "Coefficients of the note filter; null for no filter.")
    min_probability: float = setting(0.0, "Notes that the filter gives a lower probability are dropped.", 0, 1)
    song_coefficients: SongNoteCoefficients | None = setting(
        None, "Coefficients of the filter where the rest of the song is known, whose mix gives candidates, too."
    )
    song_min_probability: float = setting(0.0, "As min_probability, where the rest of the song is known.", 0, 1)
    single_voice: bool = setting(False, "At most one note at a time.")
    batch: int = setting(8, "Windows of 2 s through the network at once.", 1, 1024, "windows")
    threads: int = setting(1, "CPU threads of the network.", 1, 256, "threads")

    def __post_init__(self) -> None:
        check_settings(self)


BASS_SETTINGS = NoteSettings(
    0.3, 0.3, lowest=26, highest=67, coefficients=BASS_COEFFICIENTS, min_probability=0.12, single_voice=True
)
"""For a bass stem: low, monophonic."""

HARMONY_SETTINGS = NoteSettings(
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

MELODY_SETTINGS = NoteSettings(
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
    """How drum onsets are detected and classified."""

    onset: float = setting(0.1, "An onset counts from this share of the 95th percentile of the song's onsets.", 0, 10)
    apart_s: float = setting(0.04, "The least time between two onsets.", 0, 10)
    share: float = setting(0.07, "A drum is active if it makes up this share of the new spectrum.", 0, 1)
    rare_share: float = setting(0.35, "As share, for toms and cymbals.", 0, 1)
    threshold: float = setting(0.08, "A drum is active from this share of its own 90th percentile on.", 0, 10)
    silence_dbfs: float = setting(-90.0, "Below it there are no onsets.", -200, 0)
    residue_db: float = setting(20.0, "A stem whose loudest second is this far below the song's is residue.", 0, 120)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class VocalNoteSettings:
    """How an f0 track is segmented into notes: the path of least squared distance, a semitone or none a frame."""

    change_cost: float = setting(6.0, "Penalty on a change of semitone, in squared semitones times frames.", 0, 10_000)
    minimum_s: float = setting(0.08, "Shorter notes are dropped.", 0, 10)
    bridge_s: float = setting(0.05, "Gaps inside one pitch up to it are bridged.", 0, 10)
    dip_db: float = setting(6.0, "Unless the level dips by so much there.", 0, 120)
    faint_db: float = setting(18.0, "Notes that stay this far below the 95th percentile of level are residue.", 0, 120)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class MelodySettings:
    """How a melody is transcribed: from the f0 track, or by Basic Pitch where the stem holds leaks of a band."""

    sung: VocalNoteSettings = field(default_factory=VocalNoteSettings)
    leaky: NoteSettings = MELODY_SETTINGS
    least_agreement: float = setting(
        0.85, "The f0 track is used where it agrees with Basic Pitch in this share of voiced frames.", 0, 1
    )
    near_s: float = setting(0.1, "A note is moved to the largest onset posterior within it.", 0, 1)
    least_onset: float = setting(0.1, "Where that posterior is at least so large.", 0, 1)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class TranscribeSettings:
    """Settings of each stem's transcription."""

    bass: NoteSettings = BASS_SETTINGS
    other: NoteSettings = HARMONY_SETTINGS
    drums: DrumSettings = field(default_factory=DrumSettings)
    vocals: MelodySettings = field(default_factory=MelodySettings)


DRUM_DEFAULTS = DrumSettings()
VOCAL_NOTE_DEFAULTS = VocalNoteSettings()
TRANSCRIBE_DEFAULTS = TranscribeSettings()
