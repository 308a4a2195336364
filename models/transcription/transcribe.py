"""The stems of a song as a score: bass and harmony by Basic Pitch, drums by their strokes, the melody by its pitch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.analysis.f0 import F0
from models.audio.mixture import Mixture, MixturePart
from models.core.progress import UNWATCHED, Watch
from models.core.types import Note, Score, Source, Track
from models.transcription.basic_pitch.decode import BASS, OTHER, TranscribeSettings, notes_in
from models.transcription.basic_pitch.network import Posteriors, posteriors, together
from models.transcription.basic_pitch.note_filter import InSong
from models.transcription.drums import DrumSettings, drum_notes
from models.transcription.melody import MelodySettings, melody_in
from models.transcription.program_choice import CHOICES, auto_program


@dataclass(frozen=True)
class ScoreSettings:
    """How each stem is written down."""

    bass: TranscribeSettings = BASS
    other: TranscribeSettings = OTHER
    drums: DrumSettings = field(default_factory=DrumSettings)
    vocals: MelodySettings = field(default_factory=MelodySettings)


def write_down(
    drums: Source,
    bass: Source,
    harmony: Mapping[str, Source],
    lead: Source,
    pitch: F0,
    settings: ScoreSettings = ScoreSettings(),
    watch: Watch = UNWATCHED,
) -> Score:
    """The score of a song's stems; `harmony` holds `other`, or the parts it is known in (guitar, piano), by name.

    Each pitched track carries the General MIDI instrument that sounds most like its stem.
    """
    mix = Mixture([MixturePart(source) for source in (drums, bass, *harmony.values(), lead)])
    in_mix, in_bass, in_lead, *in_parts = _heard(
        [mix, bass, lead, *harmony.values()], settings.other, watch.span(0.0, 0.7)
    )
    tracks = [_track("bass", bass, notes_in(in_bass, bass, settings.bass), "bass")]
    for (name, stem), found in zip(harmony.items(), in_parts, strict=True):
        notes = notes_in(found, stem, settings.other, InSong(in_mix, in_bass, in_lead))
        tracks.append(_track(name, stem, notes, name if name in CHOICES else "other"))
    beside = InSong(in_mix, in_bass, together(in_parts))
    melody = melody_in(in_lead, pitch, lead, settings.vocals, beside) if (pitch.hz > 0).any() else ()
    tracks.append(_track("melody", lead, melody, "vocals"))
    strokes = drum_notes(drums, settings.drums, watch.span(0.7, 1.0), mix)
    watch.at(1.0)
    return Score((*tracks, Track("drums", 0, True, strokes)))


def _heard(sources: Sequence[Source], settings: TranscribeSettings, watch: Watch) -> list[Posteriors]:
    """What Basic Pitch hears in each of them."""
    spans = [watch.span(i / len(sources), (i + 1) / len(sources)) for i in range(len(sources))]
    return [posteriors(one, settings.batch, settings.threads, span) for one, span in zip(sources, spans, strict=True)]


def _track(name: str, stem: Source, notes: tuple[Note, ...], role: str) -> Track:
    return Track(name, auto_program(stem, notes, role), False, notes)
