import numpy as np

from models.separation.evaluation.songs import synthetic_song
from models.synthesis.example_song import example_song


def test_the_first_is_the_example_song_taken_apart():
    song = synthetic_song(0, 4.0)
    np.testing.assert_allclose(song.sum(axis=0), example_song(0, 4.0).mix.samples, atol=1e-5)


def test_odd_ones_have_another_band_as_loud_as_the_first():
    song, again, example = synthetic_song(1, 4.0), synthetic_song(1, 4.0), example_song(1, 4.0)
    assert song.tobytes() == again.tobytes()
    for row, name in enumerate(("drums", "bass", "other")):
        stem = example.stems[name].samples
        assert not np.allclose(song[row], stem, atol=1e-3)
        np.testing.assert_allclose(np.square(song[row]).mean(), np.square(stem).mean(), rtol=1e-3)
