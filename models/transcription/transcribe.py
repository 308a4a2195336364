"""A song's stems as a score: bass and harmony by Basic Pitch, drums by NNLS, the melody by its pitch track."""

from collections.abc import Mapping, Sequence

from models.analysis.f0 import F0
from models.audio.mixture import Mixture, MixturePart
from models.core.progress import UNWATCHED, Watch
from models.core.types import Note, Score, Source, Track
from models.transcription.basic_pitch.decode import decode_notes
from models.transcription.basic_pitch.network import Posteriors, compute_posteriors, max_posteriors
from models.transcription.basic_pitch.note_filter import SongPosteriors
from models.transcription.drums import drum_notes
from models.transcription.melody import transcribe_melody
from models.transcription.program_choice import CHOICES, auto_program
from models.transcription.settings import TRANSCRIBE_DEFAULTS, NoteSettings, TranscribeSettings


def transcribe_song(
    drums: Source,
    bass: Source,
    harmony: Mapping[str, Source],
    lead: Source,
    pitch: F0,
    settings: TranscribeSettings = TRANSCRIBE_DEFAULTS,
    watch: Watch = UNWATCHED,
) -> Score:
    """The score of a song's stems; `harmony` holds `other`, or the parts it is separated into (guitar, piano), by name.

    Each pitched track carries the General MIDI program nearest to its stem in timbre.
    """
    mix = Mixture([MixturePart(source) for source in (drums, bass, *harmony.values(), lead)])
    in_mix, in_bass, in_lead, *in_parts = _compute_all(
        [mix, bass, lead, *harmony.values()], settings.other, watch.span(0.0, 0.7)
    )
    tracks = [_track("bass", bass, decode_notes(in_bass, bass, settings.bass), "bass")]
    for (name, stem), in_part in zip(harmony.items(), in_parts, strict=True):
        notes = decode_notes(in_part, stem, settings.other, SongPosteriors(in_mix, in_bass, in_lead))
        tracks.append(_track(name, stem, notes, name if name in CHOICES else "other"))
    rest = SongPosteriors(in_mix, in_bass, max_posteriors(in_parts))
    melody = transcribe_melody(in_lead, pitch, lead, settings.vocals, rest) if (pitch.hz > 0).any() else ()
    tracks.append(_track("melody", lead, melody, "vocals"))
    drum_hits = drum_notes(drums, settings.drums, watch.span(0.7, 1.0), mix)
    watch.at(1.0)
    return Score((*tracks, Track("drums", 0, True, drum_hits)))


def _compute_all(sources: Sequence[Source], settings: NoteSettings, watch: Watch) -> list[Posteriors]:
    """Basic Pitch's posteriors of each source."""
    spans = [watch.span(i / len(sources), (i + 1) / len(sources)) for i in range(len(sources))]
    return [
        compute_posteriors(source, settings.batch, settings.threads, span)
        for source, span in zip(sources, spans, strict=True)
    ]


def _track(name: str, stem: Source, notes: tuple[Note, ...], role: str) -> Track:
    return Track(name, auto_program(stem, notes, role), False, notes)
