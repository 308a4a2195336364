"""Records that flow between the stages: small and frozen. Notes travel by value, audio by reference."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Audio as float32, shape (channels, frames), nominal range ±1, never clipped before the limiter."""


class Source(Protocol):
    """Audio that can be read block by block: a `Wave` in memory or a stored clip on disk."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def frames(self) -> int: ...
    def read(self, start: int, stop: int) -> Samples:
        """Frames [start, stop), zero-padded outside the audio. Shape: (channels, stop - start)."""
        ...


@dataclass(frozen=True)
class Wave:
    """Audio in memory.

    `samples` is float32, shape (channels, frames), nominal ±1; `sample_rate` in hertz.
    """

    samples: Samples
    sample_rate: int

    @property
    def channels(self) -> int:
        return int(self.samples.shape[0])

    @property
    def frames(self) -> int:
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        return self.frames / self.sample_rate

    def read(self, start: int, stop: int) -> Samples:
        """Frames [start, stop), zero-padded outside. Shape: (channels, stop - start)."""
        block = np.zeros((self.channels, stop - start), np.float32)
        low, high = max(start, 0), min(stop, self.frames)
        if high > low:
            block[:, low - start : high - start] = self.samples[:, low:high]
        return block


@dataclass(frozen=True)
class Clip:
    """Audio in the store, by content: `sha256` is over the canonical samples, rate and channels; no path."""

    sha256: str
    sample_rate: int
    channels: int
    frames: int

    @property
    def duration_s(self) -> float:
        return self.frames / self.sample_rate


@dataclass(frozen=True)
class Song:
    """An ingested song: its title and its audio in the store."""

    title: str
    audio: Clip


@dataclass(frozen=True)
class Part:
    """One instrument of the stem `other`, such as "guitar", from a separator with more than four sources."""

    name: str
    audio: Clip


@dataclass(frozen=True)
class Stems:
    """Separated stems; all clips have equal length and rate, and the four stems sum to the song approximately.

    `parts` are the instruments that sum to `other`, if the separator has them.
    """

    drums: Clip
    bass: Clip
    other: Clip
    vocals: Clip
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Voices:
    """Vocals split into lead, backing, and the lead's reverberation; they sum to the vocals."""

    lead_vocals: Clip
    backing_vocals: Clip
    room: Clip


@dataclass(frozen=True)
class Contour:
    """A stored F0 track: `hz` each `hop_s` seconds from 0, 0 where unvoiced.

    `sung_s` is the voiced duration above the level of separation residue, in seconds.
    """

    hz: tuple[float, ...]
    hop_s: float
    sung_s: float


@dataclass(frozen=True)
class Grid:
    """Beats, metre, key and chords of a song.

    `beats_s` and `downbeats_s` are increasing times in seconds (every downbeat is also a beat); `tempo_bpm` is the
    median tempo; `metre` the beats in a bar; `key` such as "C:maj" or "A:min"; `chords` holds one label a beat in
    Harte's syntax ("C:maj", "F#:min", "N" for none).
    """

    beats_s: tuple[float, ...]
    downbeats_s: tuple[float, ...]
    tempo_bpm: float
    metre: int
    key: str
    chords: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """`onset_s` and `duration_s` in seconds, MIDI `pitch` 0-127, `velocity` 1-127."""

    onset_s: float
    duration_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Track:
    """One instrument: General MIDI `program` 0-127, or the GM drum kit. Notes are sorted by onset, then pitch."""

    name: str
    program: int
    is_drum: bool
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Score:
    """A score: its tracks, with times in seconds from the start of the song."""

    tracks: tuple[Track, ...]

    @property
    def end_s(self) -> float:
        """When the last note ends, in seconds; 0 for an empty score."""
        return max((n.onset_s + n.duration_s for t in self.tracks for n in t.notes), default=0.0)

    def track(self, name: str) -> Track | None:
        """The track of that name, if there is one."""
        return next((t for t in self.tracks if t.name == name), None)


@dataclass(frozen=True)
class Prompt:
    """What the Music Transformer continues: a score on a grid up to `end_s` (s); a `transcribed` one has errors."""

    score: Score
    grid: Grid
    end_s: float
    transcribed: bool = False


@dataclass(frozen=True)
class Continuation:
    """A continuation of the song: the generated notes alone, the extended grid, and its start and end in seconds."""

    score: Score
    grid: Grid
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Take:
    """Audio placed in the mix: `start_s` in seconds from the start of the song, `gain_db` applied to it."""

    audio: Clip
    start_s: float
    gain_db: float


@dataclass(frozen=True)
class Mix:
    """The finished track with its integrated loudness (LUFS) and true peak (dBTP).

    `target_reached` is False where the loudness asked for would have taken more limiting than the settings allow.
    """

    audio: Clip
    loudness_lufs: float
    true_peak_dbtp: float
    target_reached: bool = True


@dataclass(frozen=True)
class Band:
    """The band of the remix.

    `generated` are all notes of the transformer: the accompaniment of the song's own bars, if generated, and the
    `continuation` after them; `takes` are the rendered audio of the band and its placement.
    """

    generated: Score
    continuation: Continuation
    takes: tuple[Take, ...]


@dataclass(frozen=True)
class Remixed:
    """All results of a remix, for the report; `new_pitch` is the F0 track of `lead`, the converted voice."""

    audio: Clip
    stems: Stems
    voices: Voices
    grid: Grid
    score: Score
    pitch: Contour
    lead: Clip
    new_pitch: Contour
    band: Band
    mix: Mix
