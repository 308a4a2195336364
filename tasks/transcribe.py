"""The stems become a score."""

from dataclasses import dataclass, field

import numpy as np

from models.basic_pitch.transcribe import BASS, OTHER, TranscribeSettings
from models.basic_pitch.transcribe import transcribe as notes_of
from models.drum_notes import DrumSettings, drum_notes
from models.instruments import auto_program
from models.pitch import F0
from models.records import Clip, Contour, Note, Score, Track
from models.vocal_notes import VocalNoteSettings, vocal_notes
from tasks.caching import stage
from tasks.progress import stage_watch
from tasks.store import Store, Stored


@dataclass(frozen=True)
class ScoreSettings:
    """How each stem is written down."""

    bass: TranscribeSettings = BASS
    other: TranscribeSettings = OTHER
    drums: DrumSettings = field(default_factory=DrumSettings)
    vocals: VocalNoteSettings = field(default_factory=VocalNoteSettings)


@stage("basic-pitch", "onnxruntime", "tinysoundfont", "numpy", "scipy", "soxr")
def transcribe(drums: Clip, bass: Clip, other: Clip, lead: Clip, pitch: Contour, settings: ScoreSettings) -> Score:
    """Write down bass and harmony (Basic Pitch), drums (strokes) and the sung melody (from its f0).

    Each pitched track carries the General MIDI instrument that sounds most like its stem.
    """
    store, watch = Store(), stage_watch("transcribe")
    low, harmony, voice = store.source(bass), store.source(other), store.source(lead)
    bass_notes = notes_of(low, settings.bass, watch.span(0.0, 0.35))
    other_notes = notes_of(harmony, settings.other, watch.span(0.35, 0.7))
    strokes = drum_notes(store.source(drums), settings.drums, watch.span(0.7, 0.95))
    melody = vocal_notes(F0(np.array(pitch.hz, np.float32), pitch.hop_s), voice, settings.vocals)
    watch.at(1.0)
    return Score(
        (
            _track("bass", low, bass_notes, "bass"),
            _track("other", harmony, other_notes, "other"),
            _track("melody", voice, melody, "vocals"),
            Track("drums", 0, True, strokes),
        )
    )


def _track(name: str, stem: Stored, notes: tuple[Note, ...], role: str) -> Track:
    return Track(name, auto_program(stem, notes, role), False, notes)
