"""Chord labels in Harte's syntax ("F#:min7") and keys as numbers, and their estimation from notes."""

import numpy as np

from models.core.dtypes import IntArray
from models.generation.tokenizer import DRUMS, QUALITIES, TICKS
from models.symbolic.harmony import KRUMHANSL_MAJOR, KRUMHANSL_MINOR

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_QUALITY_OF = (
    ("min", "min"), ("dim", "dim"), ("hdim", "dim"), ("aug", "aug"), ("sus", "sus"), ("maj", "maj"), ("7", "7"),
    ("9", "7"), ("11", "7"), ("13", "7"), ("m", "min"),
)  # fmt: skip
_TONES = {"maj": (0, 4, 7), "min": (0, 3, 7), "7": (0, 4, 7, 10), "dim": (0, 3, 6), "sus": (0, 5, 7), "aug": (0, 4, 8)}


def pitch_class(name: str) -> int:
    """The pitch class that a name such as "F#" or "Bb" begins with; raises KeyError where there is none."""
    return (_LETTERS[name[:1].upper()] + name[1:].count("#") - name[1:].count("b")) % 12


def chord_number(label: str) -> int:
    """A Harte label as `Piece.chords` numbers it: 0 for none ("N", "X", unreadable labels), else 1 + root, quality."""
    root, _, kind = label.partition("/")[0].partition(":")
    try:
        quality = next((q for prefix, q in _QUALITY_OF if kind.startswith(prefix)), "maj")
        return 1 + pitch_class(root) * len(QUALITIES) + QUALITIES.index(quality)
    except KeyError:
        return 0


def chord_tones(chord: int) -> frozenset[int]:
    """The pitch classes of a numbered chord; none for 0."""
    if chord == 0:
        return frozenset()
    root, quality = divmod(chord - 1, len(QUALITIES))
    return frozenset((root + tone) % 12 for tone in _TONES[QUALITIES[quality]])


def reduce_to_triads(chords: IntArray) -> IntArray:
    """Rows of `Piece.chords` reduced to major and minor triads, as the chord recogniser states them."""
    root, quality = np.divmod(chords[:, 2] - 1, len(QUALITIES))
    triad = 1 + root * len(QUALITIES) + np.isin(quality, (QUALITIES.index("min"), QUALITIES.index("dim")))
    return np.column_stack([chords[:, :2], np.where(chords[:, 2] == 0, 0, triad)])


def shift_of_key(key: str) -> int:
    """Semitones, -6..5, that bring a key such as "Eb:maj" or "F#:min" to C major or A minor; 0 where it cannot be read.

    >>> shift_of_key("C:maj"), shift_of_key("A:min"), shift_of_key("D:maj"), shift_of_key("Gb:maj")
    (0, 0, -2, -6)
    """
    tonic, _, mode = key.partition(":")
    try:
        home = pitch_class(tonic) + (3 if mode.startswith("min") else 0)
    except KeyError:
        return 0
    return (6 - home) % 12 - 6


def key_shift(notes: IntArray) -> int:
    """The same, estimated from the notes (rows of `Piece.notes`) by Krumhansl's profiles over note durations."""
    pitched = notes[notes[:, 2] != DRUMS]
    weight = np.minimum(pitched[:, 4], 4 * TICKS).astype(np.float64)
    histogram = np.bincount(pitched[:, 3] % 12, weight, 12)
    if histogram.sum() == 0:
        return 0
    correlations = [
        (np.corrcoef(np.roll(histogram, -tonic), profile)[0, 1], (tonic + relative) % 12)
        for tonic in range(12)
        for profile, relative in ((KRUMHANSL_MAJOR, 0), (KRUMHANSL_MINOR, 3))
    ]
    return (6 - max(correlations)[1]) % 12 - 6


def chord_rows(chords: list[tuple[int, str]], starts: IntArray, beats: IntArray) -> IntArray:
    """`Piece.chords`, one row a change, from (tick since beat 0, label) and the bars' starts and lengths in beats."""
    rows: list[tuple[int, int, int]] = []
    for tick, label in chords:
        bar = int(np.searchsorted(starts * TICKS, tick, side="right")) - 1
        chord = chord_number(label)
        if bar >= 0 and tick < (starts[bar] + beats[bar]) * TICKS and (not rows or rows[-1][2] != chord):
            rows.append((bar, tick - int(starts[bar]) * TICKS, chord))
    return np.array(rows, np.int64).reshape(-1, 3)


def estimate_chords(notes: IntArray, beats: IntArray) -> IntArray:
    """Major and minor chords estimated from the notes, at most two a bar: rows of `Piece.chords`."""
    starts = np.concatenate([[0], np.cumsum(beats)]) * TICKS
    pitched = notes[notes[:, 2] != DRUMS]
    onset = starts[pitched[:, 0]] + pitched[:, 1]
    off = onset + pitched[:, 4]
    rows: list[tuple[int, int, int]] = []
    for bar, length in enumerate(beats):
        half = (int(length) // 2 if length % 2 == 0 else int(length)) * TICKS
        for tick in range(0, int(length) * TICKS, half):
            low = starts[bar] + tick
            held = np.minimum(off, low + half) - np.maximum(onset, low)
            chord = _best_chord(pitched[held > 0, 3], held[held > 0])
            if not rows or rows[-1][2] != chord:
                rows.append((bar, tick, chord))
    return np.array(rows, np.int64).reshape(-1, 3)


def _best_chord(pitches: IntArray, held: IntArray) -> int:
    """The triad that holds most of the sounding time, its root preferred in the bass; 0 where nothing sounds."""
    if not len(pitches):
        return 0
    weight = np.bincount(pitches % 12, held, 12) / held.sum()
    bass = int(pitches.min()) % 12

    def correlations(chord: int) -> float:
        root = (chord - 1) // len(QUALITIES)
        return float(sum(weight[p] for p in chord_tones(chord)) + 0.2 * (root == bass) + 0.1 * weight[root])

    triads = [1 + root * len(QUALITIES) + QUALITIES.index(q) for root in range(12) for q in ("maj", "min")]
    return max(triads, key=correlations)
