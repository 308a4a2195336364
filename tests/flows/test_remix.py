"""The whole pipeline on the real engines and the shipped weights, on a short example song."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile

from models.audio.encode import write_flac, write_mp3, write_wav
from models.audio.tags import Tags
from models.conversion import DEFAULT_VOICE
from models.core.types import Wave
from models.synthesis.example_song import example_song
from tests.conftest import EXAMPLE_S, Example

pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("prefect_server")]

SECONDS = EXAMPLE_S
STAGES = (
    "separate",
    "split_vocals",
    "analyse",
    "track_f0",
    "convert",
    "transcribe",
    "accompany",
    "extend",
    "render",
    "mix",
    "measure",
)


@pytest.fixture(scope="module")
def song(example: Example) -> Path:
    return example.song


@pytest.fixture(scope="module")
def store(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of this file's own, which begins as the example remix left its."""
    return Path(shutil.copytree(example.store, tmp_path_factory.mktemp("store") / "home"))


@pytest.fixture(autouse=True)
def _in_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMIX_HOME", str(store))


def remixed(song: Path, out: Path, **choices):
    from flows.remix import remix

    return remix(song=song, out=out, **{"outro_bars": 2, "device": "cpu"} | choices)


def computed(made) -> set[str]:
    return {stage.name for stage in made.stages if not stage.reused}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def first(example: Example):
    return example.made


def test_a_remix_is_all_it_should_be(first):
    assert computed(first) == set(STAGES)
    names = {str(path.relative_to(first.folder)) for path in first.folder.rglob("*") if path.is_file()}
    assert {"mix.wav", "mix.mp3", "score.mid", "extended.mid", "report.html", "manifest.json"} <= names
    assert {f"stems/{name}.flac" for name in ("drums", "bass", "other", "lead_vocals", "backing_vocals")} <= names
    mix, rate = soundfile.read(first.folder / "mix.wav", always_2d=True)
    assert soundfile.info(first.folder / "mix.wav").subtype == "PCM_24"
    assert rate == 44_100
    assert mix.shape[1] == 2
    manifest = json.loads((first.folder / "manifest.json").read_text())
    bar_s = 4 * 60 / 112
    assert len(mix) / rate == pytest.approx(SECONDS + 2 * bar_s, abs=0.6)
    assert np.abs(mix).max() <= 10 ** (-1 / 20)
    assert -14.5 <= first.loudness_lufs <= -13.5
    assert manifest["voice"]["name"] == DEFAULT_VOICE
    assert all(len(sha) == 64 for sha in manifest["weights"].values())
    assert {stage["name"] for stage in manifest["stages"]} == set(STAGES)


def lag_s(one: np.ndarray, other: np.ndarray, step_s: float) -> float:
    """How much later the second of two equally long curves is than the first, in seconds, within 0.2 s."""
    one, other = one - one.mean(), other - other.mean()
    most = round(0.2 / step_s)
    alike = [float((one[most:-most] * other[most + lag : len(other) - most + lag]).sum()) for lag in range(-most, most)]
    return (int(np.argmax(alike)) - most) * step_s


def loudness(sound: np.ndarray) -> np.ndarray:
    """Level in dB each 5 ms, down to 50 dB below the loudest."""
    power = (sound[: len(sound) // 220 * 220].reshape(-1, 220) ** 2).mean(1)
    return np.asarray(10 * np.log10(np.maximum(power, power.max() * 1e-5)))


def test_the_mix_is_the_songs_voice_in_time_and_not_the_song(first, song):
    mix, _ = soundfile.read(first.folder / "mix.wav")
    original, _ = soundfile.read(song)
    head = mix[: len(original)]
    assert abs(np.corrcoef(head.mean(1), original.mean(1))[0, 1]) < 0.95
    stems = {
        path.stem: soundfile.read(path, always_2d=True)[0].mean(1) for path in (first.folder / "stems").glob("*.flac")
    }
    assert np.sqrt((stems["new_voice"] ** 2).mean()) > 1e-3
    frames = round(SECONDS * 44_100)
    sung, new = stems["lead_vocals"][:frames], stems["new_voice"][:frames]
    assert abs(lag_s(loudness(sung), loudness(new), 220 / 44_100)) <= 0.01, "the new voice sings when the singer did"
    assert abs(lag_s(new[::4], head.mean(1)[:frames:4], 4 / 44_100)) <= 0.001, "and the mix does not delay it"
    total = stems["drums"] + stems["bass"] + stems["other"] + stems["vocals"]
    assert np.sqrt(((total - original.mean(1)) ** 2).mean()) < 0.05 * np.sqrt((original**2).mean())


def test_every_stage_leaves_its_mark(first):
    """What would be silent, empty or unchanged if its stage did nothing."""
    stems = {
        path.stem: soundfile.read(path, always_2d=True)[0].mean(1) for path in (first.folder / "stems").glob("*.flac")
    }
    mix = soundfile.read(first.folder / "mix.wav")[0].mean(1)
    level = {name: float(np.sqrt((sound**2).mean())) for name, sound in stems.items()}
    assert min(level[name] for name in ("drums", "bass", "other", "vocals", "lead_vocals", "new_voice")) > 1e-3
    room_and_rest = stems["vocals"] - stems["lead_vocals"] - stems["backing_vocals"]
    assert np.sqrt((room_and_rest**2).mean()) < level["vocals"], "the parts of the vocals are parts of them"
    frames = round(SECONDS * 44_100)
    band, voice = stems["new_band"], stems["new_voice"][:frames]
    assert min(np.sqrt((band[:frames] ** 2).mean()), np.sqrt((band[frames + 44_100 :] ** 2).mean())) > 1e-3
    for part in (band[:frames], voice):
        share = float((mix[:frames] * part).sum() / np.sqrt((mix[:frames] ** 2).sum() * (part**2).sum()))
        assert share > 0.2, "both are heard in the mix"
    lead = stems["lead_vocals"][:frames]
    alike = float((lead * voice).sum() / np.sqrt((lead**2).sum() * (voice**2).sum()))
    assert abs(alike) < 0.9, "somebody else sings"
    score = pretty_midi.PrettyMIDI(str(first.folder / "score.mid"))
    assert {track.name for track in score.instruments} >= {"bass", "other", "melody", "drums"}
    assert min(len(track.notes) for track in score.instruments) >= 4
    generated = pretty_midi.PrettyMIDI(str(first.folder / "extended.mid"))
    starts = np.array([note.start for track in generated.instruments for note in track.notes])
    assert (starts < SECONDS).sum() > 20, "the song is accompanied"
    assert (starts > SECONDS).sum() > 10, "and played on"
    figures = json.loads((first.folder / "manifest.json").read_text())["figures"]
    assert {figure["group"] for figure in figures} >= {"Level", "Separation", "Voice"}


def test_a_second_run_computes_nothing_and_writes_the_same(first, song, tmp_path):
    again = remixed(song, tmp_path)
    assert {stage.key for stage in again.stages} == {stage.key for stage in first.stages}
    assert computed(again) == set()
    assert digest(again.folder / "mix.wav") == digest(first.folder / "mix.wav")


def test_publishing_again_mends_what_was_spoilt_and_leaves_the_rest_alone(first, song, tmp_path):
    folder = remixed(song, tmp_path).folder
    files = [*(folder / name for name in ("mix.wav", "mix.mp3", "score.mid", "extended.mid")), *folder.glob("stems/*")]
    before = {path: (path.stat().st_mtime_ns, digest(path)) for path in files}
    for spoilt in ("extended.mid", "mix.mp3"):
        (folder / spoilt).write_bytes(b"spoilt")
    (folder / "score.mid").unlink()
    assert remixed(song, tmp_path).folder == folder
    assert {path: digest(path) for path in files} == {path: was for path, (_, was) in before.items()}
    written = {path.name for path in files if path.stat().st_mtime_ns != before[path][0]}
    assert written == {"extended.mid", "mix.mp3", "score.mid"}


def test_names_tags_and_lossless_formats_do_not_matter(first, song, tmp_path):
    samples, rate = soundfile.read(song, dtype="float32")
    wave = Wave(samples.T.copy(), rate)
    write_flac(wave, tmp_path / "renamed.flac")
    soundfile.write(tmp_path / "other.aiff", samples, rate, "PCM_24")
    for path in (tmp_path / "renamed.flac", tmp_path / "other.aiff"):
        assert computed(remixed(path, tmp_path / "out")) == set()


def test_another_song_of_the_same_name_keeps_a_folder_of_its_own(first, song, tmp_path):
    other = tmp_path / "other" / song.name
    other.parent.mkdir()
    write_mp3(example_song(seconds=4).mix, other.with_suffix(".mp3"), Tags(song.stem))
    one = remixed(song, tmp_path / "out")
    two = remixed(other.with_suffix(".mp3"), tmp_path / "out", voice="none", backing="original", outro_bars=0)
    assert one.folder != two.folder


@pytest.mark.parametrize(
    ("choices", "again"),
    [
        ({"voice": "world"}, {"convert", "mix", "track_f0", "measure"}),
        ({"backing": "transcribed"}, {"extend", "render", "mix", "measure"}),
        ({"outro_bars": 3}, {"extend", "render", "mix", "measure"}),
    ],
)
def test_a_changed_choice_runs_what_depends_on_it_and_nothing_else(first, song, tmp_path, choices, again):
    assert computed(remixed(song, tmp_path, **choices)) == again


def test_a_changed_setting_of_one_stage_runs_what_depends_on_it(first, song, tmp_path):

    settings = ["master.target_lufs=-18"]
    made = remixed(song, tmp_path, settings=settings)
    assert computed(made) == {"mix", "measure"}
    assert made.loudness_lufs == pytest.approx(-18, abs=0.5)


def test_an_instrumental_is_remixed_without_a_voice(tmp_path):
    stems = example_song(seconds=SECONDS).stems
    band = stems["drums"].samples + stems["bass"].samples + stems["other"].samples
    write_wav(Wave(band, 44_100), tmp_path / "band.wav")
    made = remixed(tmp_path / "band.wav", tmp_path / "out", backing="original", outro_bars=0)
    assert (made.folder / "mix.wav").is_file()
    assert any("No vocals were found" in note for note in made.notes)
    assert not (made.folder / "stems" / "new_voice.flac").exists()
    assert "convert" not in {stage.name for stage in made.stages}
    mix = soundfile.read(made.folder / "mix.wav")[0].mean(1)
    alike = float(np.corrcoef(mix[: band.shape[1]], band.mean(0))[0, 1])
    assert alike > 0.8, "it is the band that is heard"


KILLER = """
import os, signal, sys
from pathlib import Path
import tasks.runs.progress as progress
stage = sys.argv[3]
def listener(name, fraction):
    print("at", name, flush=True)
    if name == stage:
        os.kill(os.getpid(), signal.SIGKILL)
from flows.remix import remix
with progress.listening_to(listener):
    made = remix(song=Path(sys.argv[1]), out=Path(sys.argv[2]), outro_bars=2, device="cpu")
print("computed", *sorted(stage.name for stage in made.stages if not stage.reused))
"""


def killed_in(stage: str, song: Path, out: Path, home: Path) -> subprocess.CompletedProcess[str]:
    from prefect.settings import get_current_settings

    environment = os.environ | {
        "REMIX_HOME": str(home),
        "PREFECT_API_URL": str(get_current_settings().api.url),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
    }
    command = [sys.executable, "-c", KILLER, str(song), str(out), stage]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


def test_killed_inside_any_stage_the_next_run_repeats_that_stage_alone(first, song, tmp_path):
    done: set[str] = set()
    for stage in STAGES:
        if stage in done:  # it ran beside the one before, and was quicker
            continue
        result = killed_in(stage, song, tmp_path / "out", tmp_path / "home")
        assert result.returncode == -signal.SIGKILL, result.stderr
        at = {line.split()[1] for line in result.stdout.splitlines() if line.startswith("at ")}
        assert not at & (done - {"track_f0"}), "a finished stage was computed again"  # it follows two voices
        done |= {path.name.partition("-")[0] for path in (tmp_path / "home" / "results").glob("*")}
        assert stage not in done
    result = killed_in("no stage", song, tmp_path / "out", tmp_path / "home")
    assert result.returncode == 0, result.stderr
    assert "computed measure\n" in result.stdout
    folder = next(path for path in (tmp_path / "out").iterdir())
    assert digest(folder / "mix.wav") == digest(first.folder / "mix.wav")


def test_two_processes_on_one_song_compute_each_stage_once(first, song, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    def run(number: int) -> list[str]:
        result = killed_in("no stage", song, tmp_path / f"out{number}", tmp_path / "home")
        assert result.returncode == 0, result.stderr
        line = next(line for line in result.stdout.splitlines() if line.startswith("computed"))
        return line.split()[1:]

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(run, (1, 2))
    names = one + two
    assert sorted(set(names)) == sorted(STAGES)
    assert len(names) == len(set(names)) + names.count("track_f0") - 1


def test_a_run_that_computes_nothing_has_no_need_of_torch():
    heavy = ("torch", "demucs", "matplotlib", "tensorflow", "numba")
    program = (
        f"import sys, flows.cli.live, flows.deployments.remix; print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
