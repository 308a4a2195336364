"""Metrics of notes: generated bars against transcribed ones and against the song's key and chords."""

import mir_eval
import numpy as np

from models.core.dtypes import BoolArray, DoubleArray
from models.core.types import Grid, Note, Score
from models.symbolic.beat_map import downbeat_indices, seconds_to_beats

SLOTS_A_BEAT = 4
"""Rhythms are compared in sixteenths."""
_SCALES = {"maj": (0, 2, 4, 5, 7, 9, 11), "min": (0, 2, 3, 5, 7, 8, 10)}
_SHARPS = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
_FLATS = ("C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B")
_FLAT_KEYS = frozenset(
    [f"{root}:maj" for root in ("F", "Bb", "A#", "Eb", "D#", "Ab", "G#", "Db", "C#")]
    + [f"{root}:min" for root in ("D", "G", "C", "F", "Bb", "A#", "Eb", "D#")]
)
"""The keys spelled with flats, under either name of their root."""
_MODES = {"maj": "major", "min": "minor"}
_NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_QUALITIES = {
    "maj": "", "min": "m", "dim": "°", "aug": "+", "min7": "m7", "hdim7": "ø7", "dim7": "°7", "minmaj7": "m(maj7)",
    "maj6": "6", "min6": "m6",
}  # fmt: skip


def pitched_notes(score: Score) -> list[Note]:
    """All notes but the drums'."""
    return [note for track in score.tracks if not track.is_drum for note in track.notes]


def scale(key: str) -> frozenset[int]:
    """The pitch classes of a key such as "C:maj" or "F#:min" (natural minor); all twelve when the key is not known.

    >>> sorted(scale("A:min"))
    [0, 2, 4, 5, 7, 9, 11]
    """
    root, _, mode = key.partition(":")
    if not root or root[0] not in _NATURAL or mode not in _SCALES:
        return frozenset(range(12))
    tonic = _NATURAL[root[0]] + root.count("#") - root.count("b")
    return frozenset((tonic + step) % 12 for step in _SCALES[mode])


def chord_tones(label: str) -> frozenset[int]:
    """The pitch classes of a chord in Harte's syntax; none for "N" and for what is not a chord.

    >>> sorted(chord_tones("D:min7"))
    [0, 2, 5, 9]
    """
    try:
        root, bitmap, _ = mir_eval.chord.encode(label)
    except mir_eval.chord.InvalidChordException:
        return frozenset()
    return frozenset((int(root) + int(step)) % 12 for step in np.flatnonzero(bitmap)) if root >= 0 else frozenset()


def chord_symbol(label: str, key: str = "C:maj") -> str:
    """A chord symbol spelled with the sharps or flats of the key; "" for no chord."""
    try:
        root, _, bass = mir_eval.chord.encode(label)
    except mir_eval.chord.InvalidChordException:
        return ""
    if root < 0:
        return ""
    names = note_names(key)
    quality = label.partition("/")[0].partition(":")[2]
    below = f"/{names[(int(root) + int(bass)) % 12]}" if bass else ""
    return names[int(root)] + _QUALITIES.get(quality, quality) + below


def note_names(key: str) -> tuple[str, ...]:
    """The twelve pitch classes from C up, with the sharps or flats of the key."""
    return _FLATS if key in _FLAT_KEYS else _SHARPS


def key_name(label: str) -> str:
    """The full name of a key."""
    root, _, mode = label.partition(":")
    return f"{chord_symbol(root, label)} {_MODES.get(mode, mode)}".strip()


def in_key_ratio(notes: list[Note], key: str) -> float:
    """The share of the notes in the key's scale."""
    inside = scale(key)
    return sum(note.pitch % 12 in inside for note in notes) / len(notes)


def pitch_class_overlap(one: list[Note], other: list[Note]) -> float:
    """Intersection of two pitch-class histograms (weighted by duration), 0 to 1."""
    return float(np.minimum(_pitch_classes(one), _pitch_classes(other)).sum())


def _pitch_classes(notes: list[Note]) -> DoubleArray:
    classes = np.bincount([n.pitch % 12 for n in notes], [max(n.duration_s, 1e-3) for n in notes], minlength=12)
    return np.asarray(classes / classes.sum())


def bar_rhythms(score: Score, grid: Grid) -> BoolArray:
    """Onset pattern of each bar that has notes, in sixteenths. Shape: (bars with notes, metre * 4)."""
    onsets = np.asarray([note.onset_s for track in score.tracks for note in track.notes])
    starts = np.asarray(downbeat_indices(grid))
    slots = grid.metre * SLOTS_A_BEAT
    if not len(onsets) or not len(starts):
        return np.zeros((0, slots), np.bool_)
    beats = seconds_to_beats(grid, onsets) + 0.5 / SLOTS_A_BEAT
    bars = np.searchsorted(starts, beats, side="right") - 1
    beats, bars = beats[bars >= 0], bars[bars >= 0]
    rhythms = np.zeros((len(starts), slots), np.bool_)
    rhythms[bars, np.minimum(((beats - starts[bars]) * SLOTS_A_BEAT).astype(int), slots - 1)] = True
    return rhythms[rhythms.any(axis=1)]


def groove_consistency(one: BoolArray, other: BoolArray) -> float:
    """Similarity of the onset patterns of two sets of bars, 0 to 1: 1 less the mean exclusive or, over all pairs.

    Wu and Yang, "The Jazz Transformer on the front line", ISMIR 2020. A set compared with itself leaves out each bar's
    comparison with itself. Shapes: (bars, slots).
    """
    a, b = one.astype(np.float64), other.astype(np.float64)
    differing = a @ (1 - b).T + (1 - a) @ b.T
    similarity = 1 - differing / one.shape[1]
    if one is other and len(one) > 1:
        return float((similarity.sum() - np.trace(similarity)) / (len(one) * (len(one) - 1)))
    return float(similarity.mean())


def chord_fit(notes: list[Note], grid: Grid) -> float | None:
    """The share of the notes' sounding time on tones of the beat's chord; None without chords."""
    beats = np.asarray(grid.beats_s)
    ends = np.append(beats[1:], 2 * beats[-1] - beats[-2])
    tones = [chord_tones(label) for label in grid.chords]
    fitting = sounding = 0.0
    for note in notes:
        stop = note.onset_s + note.duration_s
        first = max(int(np.searchsorted(beats, note.onset_s, side="right")) - 1, 0)
        for beat in range(first, min(int(np.searchsorted(beats, stop)), len(tones))):
            shared = min(stop, ends[beat]) - max(note.onset_s, beats[beat])
            if tones[beat] and shared > 0:
                sounding += shared
                fitting += shared * (note.pitch % 12 in tones[beat])
    return fitting / sounding if sounding else None
