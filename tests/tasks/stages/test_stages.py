"""Each stage alone, by its command, on files: the example song taken apart, written down, played on and mixed anew."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
from typer.testing import CliRunner

from models.audio.encode import write_wav
from models.audio.tags import Tags
from models.synthesis.example_song import example_song

pytestmark = pytest.mark.weights

SECONDS = 5.0
RATE = 44_100


@pytest.fixture(scope="module")
def folder(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the six commands have worked, each on what the ones before it wrote."""
    from prefect.settings import get_current_settings

    made = tmp_path_factory.mktemp("stages")
    write_wav(example_song(seconds=SECONDS).mix, made / "song.wav")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REMIX_HOME", str(made / "home"))
        patched.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
        patched.chdir(made)
        here = ("--device", "cpu")
        stems = [f"stems/{name}.flac" for name in STEMS]
        assert told("separate", "song.wav", *here) == stems
        assert told("transcribe", "song.wav", *here) == ["song.mid"]
        assert told("extend", "song.mid", "--bars", "2", *here) == ["song extended.mid"]
        sung = "stems/lead_vocals (world).wav"
        assert told("convert", "stems/lead_vocals.flac", "--voice", "world", *here) == [sung]
        assert told("render", "song extended.mid") == ["song extended.wav"]
        assert told("mix", sung, "song extended.wav", "--out", "mix.wav") == ["mix.wav"]
        yield made


STEMS = ("drums", "bass", "other", "vocals", "lead_vocals", "backing_vocals")


def told(*arguments: str) -> list[str]:
    """The files that a command of `remix` says it has written."""
    from flows.cli.commands import app

    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    written: list[str] = json.loads(result.stdout)
    return written


def read(path: Path) -> np.ndarray:
    """The samples of a file at 44.1 kHz in mono. Shape: (frames,)."""
    samples, rate = soundfile.read(path, always_2d=True)
    assert rate == RATE
    return samples.mean(1)


def level(samples: np.ndarray) -> float:
    return float(np.sqrt((samples**2).mean()))


def notes(path: Path) -> list[pretty_midi.Note]:
    return [note for track in pretty_midi.PrettyMIDI(str(path)).instruments for note in track.notes]


def test_a_song_is_taken_apart_into_stems_that_add_up_to_it(folder):
    song = read(folder / "song.wav")
    stems = {name: read(folder / "stems" / f"{name}.flac") for name in STEMS}
    assert min(level(stems[name]) for name in ("drums", "bass", "other", "vocals", "lead_vocals")) > 1e-3
    rest = song - sum(stems[name] for name in ("drums", "bass", "other", "vocals"))
    assert level(rest) < 0.05 * level(song)
    room = stems["vocals"] - stems["lead_vocals"] - stems["backing_vocals"]
    assert level(room) < level(stems["vocals"]), "the parts of the vocals are parts of them"


def test_it_is_written_down_and_played_on(folder):
    heard, extended = notes(folder / "song.mid"), notes(folder / "song extended.mid")
    tracks = {track.name for track in pretty_midi.PrettyMIDI(str(folder / "song.mid")).instruments}
    assert tracks >= {"bass", "other", "drums"}
    assert len([note for note in heard if note.start < SECONDS]) > 20
    assert len([note for note in extended if note.start > SECONDS]) > 5
    assert max(note.end for note in extended) > max(note.end for note in heard) + 2


def test_somebody_else_sings_the_same_at_the_same_time(folder):
    lead, sung = read(folder / "stems/lead_vocals.flac"), read(folder / "stems/lead_vocals (world).wav")
    assert len(sung) == len(lead)
    assert level(sung) > 1e-3
    assert abs(np.corrcoef(lead, sung)[0, 1]) < 0.9
    assert "AI-converted voice" in soundfile.SoundFile(folder / "stems/lead_vocals (world).wav").comment


def test_the_score_sounds_and_the_mix_holds_it_and_the_voice(folder):
    band, voice = read(folder / "song extended.wav"), read(folder / "stems/lead_vocals (world).wav")
    mix = read(folder / "mix.wav")
    assert level(band[: round(SECONDS * RATE)]) > 1e-3
    assert level(band[round((SECONDS + 1) * RATE) :]) > 1e-3
    assert len(mix) == max(len(band), len(voice))
    for part in (band, voice):
        assert np.corrcoef(mix[: len(part)], part)[0, 1] > 0.2, "both are heard in the mix"
    assert np.abs(mix).max() <= 10 ** (-1 / 20)
    assert "AI-converted voice: world" in soundfile.SoundFile(folder / "mix.wav").comment


@pytest.mark.parametrize("write", ["write_wav", "write_flac"])
def test_what_a_file_says_of_its_voice_is_read_from_it(tmp_path, write):
    from flows.single_stages import converted
    from models.audio import encode
    from models.core.types import Wave

    sound = Wave(np.full((2, RATE), 0.1, np.float32), RATE)
    path = tmp_path / ("a.wav" if write == "write_wav" else "a.flac")
    getattr(encode, write)(sound, path, comment="AI-converted voice: 𠮷 (permission)")
    write_wav(sound, tmp_path / "band.wav", comment="live")
    mp3 = tmp_path / "band.mp3"
    encode.write_mp3(sound, mp3, Tags("a", fields=(("comment", "live"),)), comment="AI-converted voice: lj (licence)")
    assert converted(path, tmp_path / "band.wav", path) == "AI-converted voice: 𠮷 (permission)"
    assert converted(mp3, tmp_path / "band.wav") == "AI-converted voice: lj (licence)"
    assert converted(tmp_path / "band.wav") == ""
