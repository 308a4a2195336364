import numpy as np
import pytest

from models.symbolic.harmony import ROOTS, best_path, decode_chords, estimate_key


def pitch_classes(*notes: int, harmonics: float = 0.15) -> np.ndarray:
    chroma = np.full(12, 0.05)
    for note in notes:
        chroma[note % 12] += 1
        chroma[(note + 7) % 12] += harmonics
    return chroma


@pytest.mark.parametrize("root", range(12))
def test_scales_give_their_keys(root):
    tonic_triads = {"maj": (0, 4, 7), "min": (0, 3, 7)}
    scales = {"maj": (0, 2, 4, 5, 7, 9, 11), "min": (0, 2, 3, 5, 7, 8, 10)}
    for mode, scale in scales.items():
        chroma = sum(pitch_classes(root + step) for step in scale + tonic_triads[mode])
        assert estimate_key(chroma) == f"{ROOTS[root]}:{mode}"


def test_silence_is_c_major():
    assert estimate_key(np.zeros(12)) == "C:maj"


@pytest.mark.parametrize("root", range(12))
@pytest.mark.parametrize(("quality", "third"), [("maj", 4), ("min", 3)])
def test_triads_are_named(root, quality, third):
    chroma = np.tile(pitch_classes(root, root + third, root + 7), (4, 1))
    bass = np.tile(pitch_classes(root), (4, 1))
    assert decode_chords(chroma, bass) == (f"{ROOTS[root]}:{quality}",) * 4


def test_a_passing_note_does_not_change_the_chord_but_a_new_chord_does():
    rng = np.random.default_rng(0)
    rows = [pitch_classes(0, 4, 7)] * 4 + [pitch_classes(9, 0, 4)] * 4
    chroma = np.array(rows) + 0.1 * rng.random((8, 12))
    chroma[2] = pitch_classes(0, 2, 7, 5)
    bass = np.array([pitch_classes(0)] * 4 + [pitch_classes(9)] * 4)
    assert decode_chords(chroma, bass) == ("C:maj",) * 4 + ("A:min",) * 4


def test_silence_has_no_chord():
    assert decode_chords(np.zeros((3, 12)), np.zeros((3, 12))) == ("N", "N", "N")


def test_the_best_path_is_the_best_of_all_paths():
    scores = np.random.default_rng(3).normal(size=(6, 3))
    every = np.array(np.meshgrid(*[range(3)] * 6, indexing="ij")).reshape(6, -1).T
    totals = [scores[np.arange(6), p].sum() - 0.8 * np.count_nonzero(np.diff(p)) for p in every]
    np.testing.assert_array_equal(best_path(scores, 0.8), every[int(np.argmax(totals))])
