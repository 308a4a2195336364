"""Transcription of stems, evaluated beside Basic Pitch with its defaults on the same audio."""

import csv
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from flows.evaluation.known_songs import known_songs, mixed
from flows.separators import usable
from models.analysis.f0 import track_f0
from models.analysis.settings import F0Settings
from models.core.errors import BadInput
from models.core.types import Note, Wave
from models.separation.stems import STEMS
from models.transcription.basic_pitch.decode import decode_notes
from models.transcription.basic_pitch.network import Posteriors, compute_posteriors
from models.transcription.basic_pitch.note_filter import SongPosteriors
from models.transcription.drums import drum_notes
from models.transcription.evaluation.baselines import basic_pitch_notes
from models.transcription.evaluation.metrics import (
    AnnotatedNotes,
    annotated_note_onsets,
    drum_onsets,
    mean_scores,
    note_onsets,
    note_onsets_and_offsets,
)
from models.transcription.melody import transcribe_melody
from models.transcription.settings import TranscribeSettings


def evaluate_transcription(
    midi: Path | None,
    part: str,
    songs: int,
    seconds: float,
    separator: str,
    settings: TranscribeSettings,
    pitch: F0Settings,
    sung: Path | None = None,
) -> dict[str, Any]:
    """Precision, recall and F1 of notes by stem and of drums by piece of the kit: means over songs, and each song's.

    On true stems and on separated stems apart. `sung` is a folder in vocadito's layout (`Audio/*.wav`,
    `Annotations/Notes/*_notesA1.csv`), whose clips are evaluated against each annotator's notes. Raises `BadInput` for
    a folder without songs or clips.
    """
    rows: list[dict[str, Any]] = []
    separator = usable(separator).separator
    for song in known_songs(midi, part, songs, seconds, separator):
        reference = {track.name: track.notes for track in song.piece.score.tracks}
        for stems, waves in (("true", song.true), ("separated", song.separated)):
            posterior = _posteriors(waves, settings)
            for name in STEMS:
                scores = _scores(name, reference[name], waves[name], settings, pitch, posterior)
                rows.append({"song": song.piece.name, "stems": stems, "stem": name, "scores": scores})
    report: dict[str, Any] = {"songs": len({row["song"] for row in rows}), "separator": separator}
    kinds = ("separated", "true")
    report["means"] = {f"{kind} stems": _means(row for row in rows if row["stems"] == kind) for kind in kinds}
    if sung is not None:
        report["sung"] = [_sung(path, settings, pitch) for path in _clips(sung)]
    return report | {"by_song": rows}


def _posteriors(waves: dict[str, Wave], settings: TranscribeSettings) -> dict[str, Posteriors]:
    """Basic Pitch's posteriors of each pitched stem, and of all stems together, the "mix"."""
    sources = {name: waves[name] for name in STEMS if name != "drums"} | {"mix": mixed(waves)}
    return {
        name: compute_posteriors(wave, settings.other.batch, settings.other.threads) for name, wave in sources.items()
    }


def _scores(
    name: str,
    reference: tuple[Note, ...],
    wave: Wave,
    settings: TranscribeSettings,
    pitch: F0Settings,
    posterior: dict[str, Posteriors],
) -> dict[str, dict[str, float]]:
    """What was measured of one stem; each row has precision, recall and f1."""
    if name == "drums":
        return {
            piece: asdict(score) for piece, score in drum_onsets(reference, drum_notes(wave, settings.drums)).items()
        }
    transcribed = _transcribed(name, wave, settings, pitch, posterior)
    scores = {f"{who} onset": asdict(note_onsets(reference, notes)) for who, notes in transcribed.items()}
    more = {
        f"{who} onset and offset": asdict(note_onsets_and_offsets(reference, notes))
        for who, notes in transcribed.items()
    }
    return scores | more


def _transcribed(
    name: str, wave: Wave, settings: TranscribeSettings, pitch: F0Settings, posterior: dict[str, Posteriors]
) -> dict[str, tuple[Note, ...]]:
    """A pitched stem transcribed as in a remix, and by Basic Pitch's defaults, from the same posteriors."""
    own = posterior[name]
    if name == "vocals":
        song = SongPosteriors(posterior["mix"], posterior["bass"], posterior["other"]) if "mix" in posterior else None
        ours = transcribe_melody(own, track_f0(wave, pitch), wave, settings.vocals, song)
    elif name == "bass":
        ours = decode_notes(own, wave, settings.bass)
    else:
        ours = decode_notes(
            own,
            wave,
            settings.other,
            SongPosteriors(posterior["mix"], posterior["bass"], posterior["vocals"]),
        )
    return {"ours": ours, "basic_pitch": basic_pitch_notes(own)}


def _means(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """The means over songs: by stem, then by measure."""
    kept = list(rows)
    means = {}
    for name in STEMS:
        of_stem = [row["scores"] for row in kept if row["stem"] == name]
        means[name] = {measure: mean_scores(s[measure] for s in of_stem) for measure in of_stem[0]}
    return means


def _clips(folder: Path) -> list[Path]:
    clips = sorted((folder / "Audio").glob("*.wav"))
    if not clips:
        raise BadInput(f"There are no clips in {folder}: it needs Audio/*.wav and Annotations/Notes/*_notesA1.csv.")
    return clips


def _sung(path: Path, settings: TranscribeSettings, pitch: F0Settings) -> dict[str, Any]:
    """One sung clip against each of its annotators."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = Wave(np.ascontiguousarray(samples.T), rate)
    posterior = {"vocals": compute_posteriors(wave, settings.other.batch, settings.other.threads)}
    transcribed = _transcribed("vocals", wave, settings, pitch, posterior)
    notes = path.parent.parent / "Annotations" / "Notes"
    by = {
        annotation.stem.rsplit("_notes", 1)[-1]: {
            who: asdict(annotated_note_onsets(_annotated(annotation), made)) for who, made in transcribed.items()
        }
        for annotation in sorted(notes.glob(f"{path.stem}_notes*.csv"))
    }
    return {"clip": path.stem, "onset": by}


def _annotated(path: Path) -> AnnotatedNotes:
    """An annotator's notes: rows of onset in s, pitch in Hz, duration in s."""
    with open(path, newline="") as file:
        rows = [[float(cell) for cell in row] for row in csv.reader(file) if row]
    return AnnotatedNotes(tuple((a, a + d) for a, _, d in rows), tuple(hz for _, hz, _ in rows))
