"""Metrics of notes, drums and beat grids against a reference, by mir_eval."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import mir_eval
import numpy as np

from models.core.dtypes import DoubleArray
from models.core.types import Grid, Note
from models.transcription.evaluation.pieces import ReferencePiece

DRUM_GROUPS = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "hi-hat": (22, 26, 42, 44, 46),
    "toms": (41, 43, 45, 47, 48, 50, 58),
    "cymbals": (49, 51, 52, 53, 55, 57, 59),
}
"""General MIDI pitches by drum group (with the Groove kit's edge hits of the hi-hat and tom)."""
_ONSET_TOLERANCE_S = 0.05


@dataclass(frozen=True)
class PrecisionRecallF1:
    """Precision, recall and F1, each 0..1."""

    precision: float
    recall: float
    f1: float


def note_onsets(reference: Iterable[Note], estimate: Iterable[Note]) -> PrecisionRecallF1:
    """A note is correct when its onset is within 50 ms and its pitch within half a semitone of a reference note's."""
    return _notes(reference, estimate, offset_ratio=None)


def note_onsets_and_offsets(reference: Iterable[Note], estimate: Iterable[Note]) -> PrecisionRecallF1:
    """As `note_onsets`, and the offset within 50 ms or a fifth of the reference note's length."""
    return _notes(reference, estimate, offset_ratio=0.2)


def _notes(reference: Iterable[Note], estimate: Iterable[Note], offset_ratio: float | None) -> PrecisionRecallF1:
    (true_times, true_hz), (times, hz) = _intervals(reference), _intervals(estimate)
    if not len(true_hz) or not len(hz):
        return _empty(len(true_hz), len(hz))
    precision, recall, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
        true_times, true_hz, times, hz, onset_tolerance=_ONSET_TOLERANCE_S, offset_ratio=offset_ratio
    )
    return PrecisionRecallF1(float(precision), float(recall), float(f1))


def _intervals(notes: Iterable[Note]) -> tuple[DoubleArray, DoubleArray]:
    kept = [n for n in notes if n.duration_s > 0]
    times = np.array([(n.onset_s, n.onset_s + n.duration_s) for n in kept]).reshape(-1, 2)
    return times, np.array([440 * 2 ** ((n.pitch - 69) / 12) for n in kept])


def _empty(true: int, estimate: int) -> PrecisionRecallF1:
    score = float(not true and not estimate)
    return PrecisionRecallF1(score, score, score)


@dataclass(frozen=True)
class AnnotatedNotes:
    """Sung notes as annotated: (onset, end) in seconds, and pitch in hertz, not rounded to semitones."""

    times_s: tuple[tuple[float, float], ...]
    hz: tuple[float, ...]


def annotated_note_onsets(reference: AnnotatedNotes, estimate: Iterable[Note]) -> PrecisionRecallF1:
    """As `note_onsets`, against annotated notes."""
    times, hz = _intervals(estimate)
    if not len(reference.hz) or not len(hz):
        return _empty(len(reference.hz), len(hz))
    precision, recall, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
        np.array(reference.times_s),
        np.array(reference.hz),
        times,
        hz,
        onset_tolerance=_ONSET_TOLERANCE_S,
        offset_ratio=None,
    )
    return PrecisionRecallF1(float(precision), float(recall), float(f1))


def drum_onsets(reference: Iterable[Note], estimate: Iterable[Note]) -> dict[str, PrecisionRecallF1]:
    """Metrics of each drum group, and of "all" of them (micro average)."""
    true, estimated = list(reference), list(estimate)
    scores, hits, true_count, estimated_count = {}, 0, 0, 0
    for group, pitches in DRUM_GROUPS.items():
        true_onsets = np.unique([n.onset_s for n in true if n.pitch in pitches])
        onsets = np.unique([n.onset_s for n in estimated if n.pitch in pitches])
        matched = len(mir_eval.util.match_events(true_onsets, onsets, _ONSET_TOLERANCE_S))
        scores[group] = _precision_recall_f1(matched, len(true_onsets), len(onsets))
        hits, true_count, estimated_count = hits + matched, true_count + len(true_onsets), estimated_count + len(onsets)
    scores["all"] = _precision_recall_f1(hits, true_count, estimated_count)
    return scores


def _precision_recall_f1(hits: int, true: int, estimate: int) -> PrecisionRecallF1:
    if not true or not estimate:
        return _empty(true, estimate)
    precision, recall = hits / estimate, hits / true
    return PrecisionRecallF1(precision, recall, 2 * precision * recall / max(precision + recall, 1e-9))


def grid_scores(piece: ReferencePiece, estimate: Grid) -> dict[str, float]:
    """Beat and downbeat F-measure, weighted key score, chord root and maj/min accuracy, each 0..1."""
    reference = piece.grid
    ends = [*estimate.beats_s[1:], max(2 * estimate.beats_s[-1] - estimate.beats_s[-2], piece.chord_times_s[-1][1])]
    chords = mir_eval.chord.evaluate(
        np.array(piece.chord_times_s),
        list(piece.chord_labels),
        np.array(list(zip(estimate.beats_s, ends, strict=True))),
        list(estimate.chords),
    )
    return {
        "beat": _beat_f(reference.beats_s, estimate.beats_s),
        "downbeat": _beat_f(reference.downbeats_s, estimate.downbeats_s),
        "key": float(mir_eval.key.weighted_score(_key(reference.key), _key(estimate.key))),
        "chord_root": float(chords["root"]),
        "chord_majmin": float(chords["majmin"]),
    }


def _beat_f(reference: Iterable[float], estimate: Iterable[float]) -> float:
    """F-measure within 70 ms, without the first five seconds."""
    trimmed = [mir_eval.beat.trim_beats(np.array(list(times))) for times in (reference, estimate)]
    return float(mir_eval.beat.f_measure(*trimmed))


def _key(name: str) -> str:
    """A key as mir_eval writes it: "C:maj" -> "C major"."""
    root, mode = name.split(":")
    return f"{root} {'minor' if mode.startswith('min') else 'major'}"


def mean_scores(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over pieces."""
    kept = list(rows)
    return {name: float(np.mean([row[name] for row in kept])) for name in (kept[0] if kept else {})}
