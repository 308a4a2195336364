"""Keys and chords from pitch classes: templates, and a small decoder of the likeliest chord at each beat."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROOTS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_MAJOR = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
_MINOR = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])
_CHORDS = {"maj": (0, 4, 7), "min": (0, 3, 7)}
_DIATONIC = {
    "maj": ((0, "maj"), (2, "min"), (4, "min"), (5, "maj"), (7, "maj"), (9, "min")),
    "min": ((0, "min"), (3, "maj"), (5, "min"), (7, "min"), (7, "maj"), (8, "maj"), (10, "maj")),
}
_BASS_WEIGHT, _SHARPNESS, _KEY_BONUS, _NONE = 0.3, 4.0, 0.3, 0.4


def key_of(pitch_classes: Floats, chords: Sequence[str] = ()) -> str:
    """The key, such as "A:min", that fits a pitch-class histogram best ("C:maj" for an empty one).

    The fit is the correlation with the key's profile and, where `chords` are known, half the share of them that belong
    to the key and half the share of its tonic chord. Shape: (12,). Albrecht and Shanahan, "The use of large corpora to
    train a new type of key-finding algorithm", Music Perception 2013.
    """
    if not np.any(pitch_classes):
        return "C:maj"
    fits = {}
    for mode, profile in (("maj", _MAJOR), ("min", _MINOR)):
        for root in range(12):
            key = f"{ROOTS[root]}:{mode}"
            fit = float(np.nan_to_num(np.corrcoef(pitch_classes, np.roll(profile, root))[0, 1]))
            own = chords_of(key)
            inside = sum(chord in own for chord in chords) + sum(chord == key for chord in chords)
            fits[key] = fit + 0.5 * inside / max(len(chords), 1)
    return max(fits, key=lambda key: fits[key])


def chord_names() -> list[str]:
    """The 24 major and minor chords, in the order of the decoder's states."""
    return [f"{root}:{quality}" for quality in _CHORDS for root in ROOTS]


def decode_chords(
    chroma: Floats, bass: Floats, change_cost: float | Floats = 1.0, key: str | None = None
) -> tuple[str, ...]:
    """One chord a beat: the path of least cost through 24 chords and "N".

    `chroma` and `bass` are pitch-class energies of each beat, shape (beats, 12), of the harmony and of the bass line.
    A change of chord costs `change_cost`, one for all or one a beat; a chord of the `key`, if it is known, is likelier.
    """
    templates = np.zeros((24, 12))
    roots = np.tile(np.arange(12), 2)
    for i, intervals in enumerate(_CHORDS.values()):
        for root in range(12):
            templates[12 * i + root, [(root + step) % 12 for step in intervals]] = 1
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    fit = unit(chroma) @ templates.T
    fit += _BASS_WEIGHT * unit(bass)[:, roots]
    sounding = (np.linalg.norm(chroma, axis=1) > 1e-6).astype(float)[:, None]
    scores = np.concatenate([fit * sounding, np.full((len(chroma), 1), _NONE)], axis=1) * _SHARPNESS
    names = [*chord_names(), "N"]
    if key is not None:
        scores[:, [names.index(chord) for chord in chords_of(key)]] += _KEY_BONUS
    return tuple(names[i] for i in best_path(scores, change_cost))


def chords_of(key: str) -> list[str]:
    """The major and minor chords that belong to a key (in minor with the major dominant).

    >>> chords_of("A:min")
    ['A:min', 'C:maj', 'D:min', 'E:min', 'E:maj', 'F:maj', 'G:maj']
    """
    root, mode = key.split(":")
    return [f"{ROOTS[(ROOTS.index(root) + step) % 12]}:{quality}" for step, quality in _DIATONIC[mode]]


def unit(rows: Floats) -> Floats:
    """Each row at length 1, or 0 where it is silent."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def best_path(scores: Floats, change_cost: float | Floats) -> NDArray[np.intp]:
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
