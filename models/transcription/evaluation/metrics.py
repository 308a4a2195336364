"""How well notes, drums and grids were heard, by mir_eval: ours beside what the libraries answer by themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import mir_eval
import numpy as np
from numpy.typing import NDArray

from models.core.types import Grid, Note
from models.transcription.evaluation.pieces import Piece

Doubles = NDArray[np.float64]

KIT = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "hi-hat": (22, 26, 42, 44, 46),
    "toms": (41, 43, 45, 47, 48, 50, 58),
    "cymbals": (49, 51, 52, 53, 55, 57, 59),
}
"""General MIDI drum pitches by piece of the kit (with the Groove drum kit's edge hits of the hi-hat and tom)."""
_ONSET_TOLERANCE_S = 0.05


@dataclass(frozen=True)
class Agreement:
    """Precision, recall and F1, each 0..1."""

    precision: float
    recall: float
    f1: float


def note_onsets(truth: Iterable[Note], found: Iterable[Note]) -> Agreement:
    """A note is right when its onset is within 50 ms and its pitch within half a semitone of a true one's."""
    return _notes(truth, found, offset_ratio=None)


def note_onsets_and_offsets(truth: Iterable[Note], found: Iterable[Note]) -> Agreement:
    """As `note_onsets`, and the offset within 50 ms or a fifth of the true note's length."""
    return _notes(truth, found, offset_ratio=0.2)


def _notes(truth: Iterable[Note], found: Iterable[Note], offset_ratio: float | None) -> Agreement:
    (true_times, true_hz), (times, hz) = _intervals(truth), _intervals(found)
    if not len(true_hz) or not len(hz):
        return _empty(len(true_hz), len(hz))
    precision, recall, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
        true_times, true_hz, times, hz, onset_tolerance=_ONSET_TOLERANCE_S, offset_ratio=offset_ratio
    )
    return Agreement(float(precision), float(recall), float(f1))


def _intervals(notes: Iterable[Note]) -> tuple[Doubles, Doubles]:
    kept = [n for n in notes if n.duration_s > 0]
    times = np.array([(n.onset_s, n.onset_s + n.duration_s) for n in kept]).reshape(-1, 2)
    return times, np.array([440 * 2 ** ((n.pitch - 69) / 12) for n in kept])


def _empty(true: int, found: int) -> Agreement:
    score = float(not true and not found)
    return Agreement(score, score, score)


@dataclass(frozen=True)
class SungNotes:
    """Notes as somebody heard them sung: (onset, end) in seconds, and pitch in hertz, which lies between the keys."""

    times_s: tuple[tuple[float, float], ...]
    hz: tuple[float, ...]


def sung_onsets(truth: SungNotes, found: Iterable[Note]) -> Agreement:
    """As `note_onsets`, the truth being pitched as it was sung."""
    times, hz = _intervals(found)
    if not len(truth.hz) or not len(hz):
        return _empty(len(truth.hz), len(hz))
    precision, recall, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
        np.array(truth.times_s), np.array(truth.hz), times, hz, onset_tolerance=_ONSET_TOLERANCE_S, offset_ratio=None
    )
    return Agreement(float(precision), float(recall), float(f1))


def drum_onsets(truth: Iterable[Note], found: Iterable[Note]) -> dict[str, Agreement]:
    """Agreement for each piece of the kit, and for "all" of them taken together (the sums of hits and misses)."""
    true, seen = list(truth), list(found)
    scores, hits, truths, founds = {}, 0, 0, 0
    for piece, pitches in KIT.items():
        reference = np.unique([n.onset_s for n in true if n.pitch in pitches])
        estimate = np.unique([n.onset_s for n in seen if n.pitch in pitches])
        matched = len(mir_eval.util.match_events(reference, estimate, _ONSET_TOLERANCE_S))
        scores[piece] = _agreement(matched, len(reference), len(estimate))
        hits, truths, founds = hits + matched, truths + len(reference), founds + len(estimate)
    scores["all"] = _agreement(hits, truths, founds)
    return scores


def _agreement(hits: int, true: int, found: int) -> Agreement:
    if not true or not found:
        return _empty(true, found)
    precision, recall = hits / found, hits / true
    return Agreement(precision, recall, 2 * precision * recall / max(precision + recall, 1e-9))


def grid_scores(piece: Piece, found: Grid) -> dict[str, float]:
    """Beat and downbeat F-measure, key weighted score, chord root and maj/min accuracy, each 0..1."""
    truth = piece.grid
    ends = [*found.beats_s[1:], max(2 * found.beats_s[-1] - found.beats_s[-2], piece.chord_times_s[-1][1])]
    chords = mir_eval.chord.evaluate(
        np.array(piece.chord_times_s),
        list(piece.chord_labels),
        np.array(list(zip(found.beats_s, ends, strict=True))),
        list(found.chords),
    )
    return {
        "beat": _beat_f(truth.beats_s, found.beats_s),
        "downbeat": _beat_f(truth.downbeats_s, found.downbeats_s),
        "key": float(mir_eval.key.weighted_score(_key(truth.key), _key(found.key))),
        "chord_root": float(chords["root"]),
        "chord_majmin": float(chords["majmin"]),
    }


def _beat_f(truth: Iterable[float], found: Iterable[float]) -> float:
    """The F-measure within 70 ms, without the first five seconds."""
    reference, estimate = (mir_eval.beat.trim_beats(np.array(list(t))) for t in (truth, found))
    return float(mir_eval.beat.f_measure(reference, estimate))


def _key(name: str) -> str:
    """A key as mir_eval writes it: "C:maj" -> "C major"."""
    root, mode = name.split(":")
    return f"{root} {'minor' if mode.startswith('min') else 'major'}"


def mean_scores(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over pieces."""
    kept = list(rows)
    return {name: float(np.mean([row[name] for row in kept])) for name in (kept[0] if kept else {})}
