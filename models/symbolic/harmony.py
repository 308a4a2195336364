"""Key estimation and chord decoding (Viterbi over templates) from pitch classes."""

from collections.abc import Sequence

import numpy as np

from models.core.dtypes import DoubleArray, IndexArray

ROOTS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_MAJOR_PROFILE = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
_MINOR_PROFILE = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])
KRUMHANSL_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
KRUMHANSL_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""Key profiles of Krumhansl and Kessler (1982)."""
_CHORDS = {"maj": (0, 4, 7), "min": (0, 3, 7)}
_DIATONIC = {
    "maj": ((0, "maj"), (2, "min"), (4, "min"), (5, "maj"), (7, "maj"), (9, "min")),
    "min": ((0, "min"), (3, "maj"), (5, "min"), (7, "min"), (7, "maj"), (8, "maj"), (10, "maj")),
}
_BASS_WEIGHT, _SHARPNESS, _KEY_BONUS, _NONE = 0.3, 4.0, 0.3, 0.4


def estimate_key(pitch_classes: DoubleArray, chords: Sequence[str] = ()) -> str:
    """The key, such as "A:min", that fits a pitch-class histogram best ("C:maj" for an empty one).

    The fit is the correlation with the key's profile and, where `chords` are given, half the share of them that is
    diatonic and half the share of the tonic chord. Shape: (12,). Albrecht and Shanahan, "The use of large corpora to
    train a new type of key-finding algorithm", Music Perception 2013.
    """
    if not np.any(pitch_classes):
        return "C:maj"
    scores_by_key = {}
    for mode, profile in (("maj", _MAJOR_PROFILE), ("min", _MINOR_PROFILE)):
        for root in range(12):
            key = f"{ROOTS[root]}:{mode}"
            fit = float(np.nan_to_num(np.corrcoef(pitch_classes, np.roll(profile, root))[0, 1]))
            diatonic = diatonic_chords(key)
            inside = sum(chord in diatonic for chord in chords) + sum(chord == key for chord in chords)
            scores_by_key[key] = fit + 0.5 * inside / max(len(chords), 1)
    return max(scores_by_key, key=lambda key: scores_by_key[key])


def chord_names() -> list[str]:
    """The 24 major and minor chords, in the order of the decoder's states."""
    return [f"{root}:{quality}" for quality in _CHORDS for root in ROOTS]


def decode_chords(
    chroma: DoubleArray, bass: DoubleArray, change_cost: float | DoubleArray = 1.0, key: str | None = None
) -> tuple[str, ...]:
    """One chord a beat: the best path through 24 chords and "N".

    `chroma` and `bass` are pitch-class energies of each beat, shape (beats, 12), of the harmony and of the bass line. A
    change of chord costs `change_cost`, one for all or one a beat; diatonic chords of the `key`, if given, get a bonus.
    """
    templates = np.zeros((24, 12))
    roots = np.tile(np.arange(12), 2)
    for i, intervals in enumerate(_CHORDS.values()):
        for root in range(12):
            templates[12 * i + root, [(root + step) % 12 for step in intervals]] = 1
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    fit = normalised(chroma) @ templates.T
    fit += _BASS_WEIGHT * normalised(bass)[:, roots]
    sounding = (np.linalg.norm(chroma, axis=1) > 1e-6).astype(float)[:, None]
    scores = np.concatenate([fit * sounding, np.full((len(chroma), 1), _NONE)], axis=1) * _SHARPNESS
    names = [*chord_names(), "N"]
    if key is not None:
        scores[:, [names.index(chord) for chord in diatonic_chords(key)]] += _KEY_BONUS
    return tuple(names[i] for i in best_path(scores, change_cost))


def diatonic_chords(key: str) -> list[str]:
    """The diatonic major and minor chords of a key (in minor with the major dominant)."""
    root, mode = key.split(":")
    return [f"{ROOTS[(ROOTS.index(root) + step) % 12]}:{quality}" for step, quality in _DIATONIC[mode]]


def normalised(rows: DoubleArray) -> DoubleArray:
    """Each row at Euclidean length 1, or 0 where it is silent."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def best_path(scores: DoubleArray, change_cost: float | DoubleArray) -> IndexArray:
    """The path of the highest total through `scores`, shape (steps, states), where each change costs `change_cost`."""
    steps, states = scores.shape
    costs = np.broadcast_to(change_cost, steps)
    back = np.zeros((steps, states), np.intp)
    total = scores[0].copy()
    for i in range(1, steps):
        best = int(total.argmax())
        stay = total >= total[best] - costs[i]
        back[i] = np.where(stay, np.arange(states), best)
        total = np.where(stay, total, total[best] - costs[i]) + scores[i]
    path = np.zeros(steps, np.intp)
    path[-1] = total.argmax()
    for i in range(steps - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path
