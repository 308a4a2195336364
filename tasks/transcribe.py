"""The stems become a score."""

from dataclasses import dataclass, field

import numpy as np

from models.basic_pitch.belief import InSong
from models.basic_pitch.network import posteriors
from models.basic_pitch.transcribe import BASS, OTHER, TranscribeSettings, notes_in
from models.basic_pitch.transcribe import transcribe as notes_of
from models.drum_notes import DrumSettings, drum_notes
from models.instruments import CHOICES, auto_program
from models.melody import MelodySettings, melody_in
from models.pitch import F0
from models.progress import Watch
from models.records import Clip, Contour, Note, Part, Score, Source, Track
from models.summed import Placed, Summed
from tasks.caching import stage
from tasks.progress import stage_watch
from tasks.store import Store, Stored


@dataclass(frozen=True)
class ScoreSettings:
    """How each stem is written down."""

    bass: TranscribeSettings = BASS
    other: TranscribeSettings = OTHER
    drums: DrumSettings = field(default_factory=DrumSettings)
    vocals: MelodySettings = field(default_factory=MelodySettings)


@stage("basic-pitch", "onnxruntime", "tinysoundfont", "numpy", "scipy", "soxr")
def transcribe(
    drums: Clip,
    bass: Clip,
    other: Clip,
    lead: Clip,
    pitch: Contour,
    settings: ScoreSettings,
    parts: tuple[Part, ...] = (),
) -> Score:
    """Write down bass and harmony (Basic Pitch), drums (strokes) and the sung melody (from its f0).

    Each pitched track carries the General MIDI instrument that sounds most like its stem. Where `other` is known in
    parts (guitar, piano), each of them is written down for itself.
    """
    store, watch = Store(), stage_watch("transcribe")
    low, voice = store.source(bass), store.source(lead)
    rest = _rest(store, drums, bass, other, lead, settings, watch.span(0.0, 0.4))
    bass_notes = notes_in(rest.bass, low, settings.bass)
    harmony = []
    played = parts or (Part("other", other),)
    for index, part in enumerate(played):
        stem, span = store.source(part.audio), (0.4 + 0.3 * (index + n) / len(played) for n in (0, 1))
        role = part.name if part.name in CHOICES else "other"
        harmony.append(_track(part.name, stem, notes_of(stem, settings.other, watch.span(*span), rest), role))
    strokes = drum_notes(store.source(drums), settings.drums, watch.span(0.7, 0.9))
    track = F0(np.array(pitch.hz, np.float32), pitch.hop_s)
    melody = melody_in(rest.voice, track, voice, settings.vocals) if np.any(track.hz > 0) else ()
    watch.at(1.0)
    return Score(
        (
            _track("bass", low, bass_notes, "bass"),
            *harmony,
            _track("melody", voice, melody, "vocals"),
            Track("drums", 0, True, strokes),
        )
    )


def _rest(
    store: Store, drums: Clip, bass: Clip, other: Clip, lead: Clip, settings: ScoreSettings, watch: Watch
) -> InSong:
    """What Basic Pitch hears in the bass, in the voice and in the mix of all."""
    low, voice = store.source(bass), store.source(lead)
    mix = Summed([Placed(source) for source in (store.source(drums), low, store.source(other), voice)])
    batch, threads = settings.other.batch, settings.other.threads
    sources: tuple[Source, ...] = (mix, low, voice)
    heard = [posteriors(s, batch, threads, watch.span(i / 3, (i + 1) / 3)) for i, s in enumerate(sources)]
    return InSong(*heard)


def _track(name: str, stem: Stored, notes: tuple[Note, ...], role: str) -> Track:
    return Track(name, auto_program(stem, notes, role), False, notes)
