from pathlib import Path

import numpy as np
import pretty_midi
import pytest

from models.separation.training.renderings import render_band

FONT = Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("midi")
    tune, drums = pretty_midi.PrettyMIDI(initial_tempo=120), pretty_midi.PrettyMIDI(initial_tempo=100)
    piano = pretty_midi.Instrument(0)
    for beat in range(40):
        for pitch in (60, 64, 67):
            piano.notes.append(pretty_midi.Note(90, pitch, beat * 0.5, beat * 0.5 + 0.4))
    tune.instruments.append(piano)
    kit = pretty_midi.Instrument(0, is_drum=True)
    for step in range(32):
        kit.notes.append(pretty_midi.Note(100, 36 if step % 2 else 42, step * 0.3, step * 0.3 + 0.1))
    drums.instruments.append(kit)
    broken = folder / "broken.mid"
    broken.write_bytes(b"MThd nothing")
    tune.write(str(folder / "tune.mid"))
    drums.write(str(folder / "drums.mid"))
    return folder / "tune.mid", folder / "drums.mid", broken


def test_a_tune_gets_a_bass_and_drums(files):
    tune, drums, broken = files
    stems = render_band([broken, tune], [broken, drums], [FONT], seed=1, length_s=4.0)
    assert set(stems) == {"drums", "bass", "other"}
    for name, stem in stems.items():
        assert stem.dtype == np.int16
        assert stem.shape == (2, 4 * 44100)
        assert np.abs(stem).max() > 10000, name


def test_the_bass_is_low_and_the_seed_decides(files):
    tune, drums, _ = files
    one, two, other = (render_band([tune], [drums], [FONT], seed, 5.0) for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not all(np.array_equal(one[name], other[name]) for name in one)
    spectrum = np.abs(np.fft.rfft(one["bass"][0].astype(float)))
    hertz = np.fft.rfftfreq(one["bass"].shape[1], 1 / 44100)
    assert np.square(spectrum[hertz < 400]).sum() > 0.5 * np.square(spectrum).sum()


def test_nothing_to_play_is_an_error(files):
    with pytest.raises(ValueError, match="none of the MIDI files"):
        render_band([files[2]], [files[1]], [FONT], seed=1)
