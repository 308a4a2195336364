import numpy as np
import pytest

from models.core.errors import BadInput
from models.core.types import Note, Score, Track
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render

RATE = 44_100
PLAIN = RenderSettings()


def play(score: Score, seconds: float, settings: RenderSettings = PLAIN, rate: int = RATE) -> np.ndarray:
    return np.concatenate(list(render(score, round(seconds * rate), rate, settings)), axis=1)


def piece(*notes: Note, name: str = "other", program: int = 0, is_drum: bool = False) -> Score:
    return Score((Track(name, program, is_drum, tuple(notes)),))


def test_blocks_add_up_to_the_frames_asked_for():
    blocks = list(render(piece(Note(0.0, 0.5, 60, 90)), 40_001, RATE, RenderSettings()))
    assert sum(b.shape[1] for b in blocks) == 40_001
    assert all(b.shape[0] == 2 and b.dtype == np.float32 for b in blocks)


@pytest.mark.parametrize("onset", [0.0, 0.123456, 1.0000113, 0.9])
def test_a_note_starts_at_its_own_sample(onset):
    sound = np.abs(play(piece(Note(onset, 0.2, 36, 127), is_drum=True), 1.5)).sum(axis=0)
    assert 0 <= np.flatnonzero(sound)[0] - round(onset * RATE) <= 1


def test_a_note_sounds_at_its_pitch():
    sound = play(piece(Note(0.0, 1.0, 69, 100), program=73), 1.0)[0]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.fft.rfftfreq(len(sound), 1 / RATE)[spectrum.argmax()] == pytest.approx(440, rel=0.02)


def test_the_same_score_gives_the_same_bytes():
    score = piece(*(Note(i / 7, 0.3, 40 + i, 80) for i in range(20)))
    assert play(score, 3.0).tobytes() == play(score, 3.0).tobytes()


def test_tails_ring_out_and_are_not_cut():
    sound = np.abs(play(piece(Note(0.0, 0.3, 60, 110), program=48), 3.0)).max(axis=0)
    after = sound[round(0.35 * RATE) :]
    assert after[: RATE // 20].max() > 0.002
    assert after[-RATE // 2 :].max() < 1e-3


def test_the_end_of_the_audio_is_faded_not_cut():
    sound = np.abs(play(piece(Note(0.0, 5.0, 60, 127)), 1.0)).max(axis=0)
    assert sound[-1] < 0.02 * sound[-2000:-1000].max()


def test_a_key_struck_again_sounds_again():
    twice = play(piece(Note(0.0, 1.0, 60, 100), Note(0.5, 1.0, 60, 100)), 2.0)
    once = play(piece(Note(0.0, 1.0, 60, 100)), 2.0)
    window = slice(round(0.5 * RATE), round(0.7 * RATE))
    assert np.abs(twice[:, window]).max() > 1.5 * np.abs(once[:, window]).max()


def test_louder_velocity_is_louder_sound():
    peaks = [np.abs(play(piece(Note(0.0, 0.5, 60, v)), 0.5)).max() for v in (20, 60, 127)]
    assert peaks == sorted(peaks)
    assert peaks[2] > 3 * peaks[0]


def test_instruments_gains_and_pans_are_obeyed():
    score = piece(Note(0.0, 0.5, 60, 100))
    plain = play(score, 0.5)
    assert not np.allclose(plain, play(score, 0.5, RenderSettings(instruments=(("other", "church organ"),))))
    louder = play(score, 0.5, RenderSettings(track_gains_db=(("other", 6.0),)))
    quieter = play(score, 0.5, RenderSettings(track_gains_db=(("other", -20.0),)))
    assert 20 * np.log10(np.abs(louder).max() / np.abs(plain).max()) == pytest.approx(6, abs=0.1)
    assert 20 * np.log10(np.abs(quieter).max() / np.abs(plain).max()) == pytest.approx(-20, abs=0.1)
    left = np.abs(play(score, 0.5, RenderSettings(pans=(("other", -1.0),)))).max(axis=1)
    assert left[0] > 10 * left[1]


def test_other_is_every_part_that_is_not_named_itself():
    score = piece(Note(0.0, 0.5, 60, 100), name="piano")
    organ = play(score, 0.5, RenderSettings(instruments=(("piano", "church_organ"),)))
    assert np.array_equal(organ, play(score, 0.5, RenderSettings(instruments=(("other", "church_organ"),))))
    kept = RenderSettings(instruments=(("other", "church_organ"), ("piano", "auto")))
    assert np.array_equal(play(score, 0.5), play(score, 0.5, kept))
    bass = piece(Note(0.0, 0.5, 40, 100), name="bass")
    assert np.array_equal(play(bass, 0.5), play(bass, 0.5, RenderSettings(instruments=(("other", "church_organ"),))))


def test_more_tracks_than_midi_has_channels_all_sound():
    tracks = tuple(Track(f"t{i}", i, i == 9, (Note(i * 0.2, 0.1, 60, 100),)) for i in range(20))
    sound = np.abs(play(Score(tracks), 4.0)).max(axis=0)
    assert all(sound[round(i * 0.2 * RATE) : round((i * 0.2 + 0.1) * RATE)].max() > 1e-3 for i in range(20))


def test_an_empty_score_is_silence():
    assert not play(Score(()), 0.2).any()


def test_a_dense_score_goes_beyond_one_rather_than_clipping():
    notes = tuple(Note(0.0, 1.0, p, 127) for p in range(30, 100))
    sound = play(piece(*notes), 0.5, RenderSettings(gain_db=12.0))
    assert np.abs(sound).max() > 1.0
    assert np.mean(np.abs(sound) == np.abs(sound).max()) < 1e-3


def test_bad_instruments_and_soundfonts_are_said_plainly(tmp_path):
    score = piece(Note(0.0, 0.1, 60, 100))
    with pytest.raises(BadInput, match="did you mean 'electric_piano'"):
        play(score, 0.1, RenderSettings(instruments=(("other", "electric pano"),)))
    with pytest.raises(BadInput, match="cannot be read"):
        play(score, 0.1, RenderSettings(soundfont=str(tmp_path / "none.sf2")))
    (tmp_path / "bad.sf2").write_bytes(b"RIFF not a font")
    with pytest.raises(BadInput, match="not a SoundFont"):
        play(score, 0.1, RenderSettings(soundfont=str(tmp_path / "bad.sf2")))
