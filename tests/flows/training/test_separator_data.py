import numpy as np
import soundfile

from flows.training.separator_data import HELD_OUT_SONG, decode_songs, decode_voices, load_library


def write(path, seconds: float = 0.5, rate: int = 44100, channels: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((int(seconds * rate), channels))
    soundfile.write(path, noise, rate)


def test_songs_and_voices_become_a_library_with_some_kept_for_judging(tmp_path):
    data, work = tmp_path / "data", tmp_path / "work"
    for song, stems in (("1_one", ("drums", "other", "lead_vocals")), (HELD_OUT_SONG, ("drums", "bass", "other"))):
        for stem in stems:
            write(data / "songs" / song / f"{stem}.ogg")
    write(data / "songs" / "full" / "mix.ogg")
    write(data / "voice" / "singing" / "producer_space" / "etv_am" / "a.flac", rate=22050, channels=1)
    write(data / "voice" / "singing" / "producer_space" / "shv_c_126" / "b.flac", channels=1)
    write(data / "voice" / "emodb" / "03a01.wav", rate=16000, channels=1)
    write(data / "voice" / "emodb" / "08a01.wav", rate=16000, channels=1)
    decode_songs(data, work)
    decode_voices(data, work)
    library, unseen = load_library(work), load_library(work, held_out=True)
    assert [s.name for s in library.songs] == ["1_one"]
    assert library.songs[0].bass_hidden
    assert [s.name for s in unseen.songs] == [HELD_OUT_SONG]
    assert not unseen.songs[0].bass_hidden
    assert [v.wet for v in library.voices] == [True]
    assert library.voices[0].stems["lead_vocals"].shape[0] == 1
    assert abs(library.voices[0].frames - 44100 * 0.6) < 10
    assert len(unseen.voices) == 1
    assert len(library.speech) == 2


def test_what_is_decoded_is_not_decoded_again(tmp_path):
    data, work = tmp_path / "data", tmp_path / "work"
    write(data / "songs" / "1_one" / "drums.ogg")
    decode_songs(data, work)
    kept = work / "songs" / "1_one" / "drums.npy"
    before = kept.stat().st_mtime_ns
    decode_songs(data, work)
    assert kept.stat().st_mtime_ns == before
    assert np.load(kept).shape == (2, 22050)
