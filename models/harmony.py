"""Keys and chords from pitch classes: templates, and a small decoder of the likeliest chord at each beat."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROOTS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
_CHORDS = {"maj": (0, 4, 7), "min": (0, 3, 7)}


def key_of(pitch_classes: Floats) -> str:
    """The key, such as "A:min", whose profile fits a pitch-class histogram best ("C:maj" for an empty one).

    Shape: (12,). Krumhansl, "Cognitive Foundations of Musical Pitch", 1990.
    """
    if not np.any(pitch_classes):
        return "C:maj"
    names, scores = [], []
    for mode, profile in (("maj", _MAJOR), ("min", _MINOR)):
        for root in range(12):
            names.append(f"{ROOTS[root]}:{mode}")
            scores.append(np.corrcoef(pitch_classes, np.roll(profile, root))[0, 1])
    return names[int(np.argmax(np.nan_to_num(scores)))]


def chord_names() -> list[str]:
    """The 24 major and minor chords, in the order of the decoder's states."""
    return [f"{root}:{quality}" for quality in _CHORDS for root in ROOTS]


def decode_chords(chroma: Floats, bass: Floats, change_cost: float = 1.0, none_score: float = 0.4) -> tuple[str, ...]:
    """One chord a beat: the path of least cost through 24 chords and "N".

    `chroma` and `bass` are pitch-class energies of each beat, shape (beats, 12), of the harmony and of the bass line.
    A change of chord costs `change_cost`; a beat without a chord scores `none_score` where a perfect one scores 1.
    """
    beats = len(chroma)
    templates = np.zeros((24, 12))
    roots = np.tile(np.arange(12), 2)
    for i, intervals in enumerate(_CHORDS.values()):
        for root in range(12):
            templates[12 * i + root, [(root + step) % 12 for step in intervals]] = 1
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    fit = _unit(chroma) @ templates.T
    fit += 0.3 * _unit(bass)[:, roots]
    sounding = (np.linalg.norm(chroma, axis=1) > 1e-6).astype(float)[:, None]
    scores = np.concatenate([fit * sounding, np.full((beats, 1), none_score)], axis=1) * 4
    names = [*chord_names(), "N"]
    return tuple(names[i] for i in best_path(scores, change_cost))


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def best_path(scores: Floats, change_cost: float) -> NDArray[np.intp]:
    """The path of the highest total through `scores`, shape (steps, states), where each change costs `change_cost`."""
    steps, states = scores.shape
    back = np.zeros((steps, states), np.intp)
    total = scores[0].copy()
    for i in range(1, steps):
        best = int(total.argmax())
        stay = total >= total[best] - change_cost
        back[i] = np.where(stay, np.arange(states), best)
        total = np.where(stay, total, total[best] - change_cost) + scores[i]
    path = np.zeros(steps, np.intp)
    path[-1] = total.argmax()
    for i in range(steps - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path
