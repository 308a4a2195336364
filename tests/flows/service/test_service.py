"""The service as an operator has it: a real server, a worker, runs as processes of their own."""

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from models.audio.encode import write_wav
from models.synthesis.example_song import example_song
from tests.support.service import FAST, Service, service

pytestmark = [pytest.mark.service, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("songs")
    made = [folder / "first.wav", folder / "second.wav", folder / "third.wav"]
    for number, path in enumerate(made):
        write_wav(example_song(seconds=4.0 + number / 2).mix, path)
    return made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    with service(tmp_path_factory.mktemp("service") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def broken(songs: list[Path]) -> Path:
    path = songs[0].with_name("broken.wav")
    path.write_bytes(songs[0].read_bytes()[:5000])
    return path


@pytest.fixture(scope="module")
def over(served: Service, songs: list[Path], broken: Path):
    """Two songs, a bad one and one of them once more, submitted together, once they are over."""
    again, *ids = served.submit(songs[0], songs[0], songs[1], broken)
    assert served.until_over([again])[again]["state"] == "Completed"
    runs = served.until_over(ids)
    return [runs[one] for one in ids]


def test_songs_are_remixed_and_a_bad_one_fails_with_its_reason_once(served, over, tmp_path):
    assert [run["state"] for run in over] == ["Completed", "Completed", "Failed"], over
    assert over[0]["name"] == "first (none)"
    assert over[2]["message"].startswith("broken.wav is truncated")
    assert over[2]["message"].count(".") <= 4
    shown = served.told("runs", "show", over[2]["id"])
    assert [stage["name"] for stage in shown["stages"]] == ["ingest"]
    fetched = served.remix("runs", "fetch", over[0]["id"][:8], "--out", str(tmp_path))
    assert fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "first" / "mix.mp3").stat().st_size > 10_000
    assert served.remix("runs", "fetch", over[2]["id"], "--out", str(tmp_path)).returncode == 2


def test_one_engine_loads_each_network_once_and_the_next_song_starts_at_its_turn(served, over):
    log = served.engine_log()
    assert len({row["pid"] for row in log}) == 1
    loads = Counter(row["network"] for row in log if row["event"] == "load")
    assert loads["band-mask"] == loads["lead-backing"] == 1
    stages = sorted((row for row in log if row["event"] == "stage"), key=lambda row: row["started"])
    separations = [index for index, row in enumerate(stages) if row["stage"] == "separate"]
    assert len(separations) == 2
    second = stages[separations[1]]
    its_turn = max(second["asked"], stages[separations[1] - 1]["ended"])
    assert second["started"] - its_turn < 1.0


def test_a_song_that_was_remixed_is_all_cache(served, over, songs):
    before = len(served.engine_log())
    (again,) = served.submit(songs[0])
    assert served.until_over([again])[again]["state"] == "Completed"
    assert len(served.engine_log()) == before


SNEAKY = ("../../etc/passwd", "/etc/passwd", "http://127.0.0.1:1/x", "file:///etc/passwd", "a/../b", "~/x", "")


def test_no_parameter_takes_a_path_or_a_url(served, over):
    """Refused by the server's form, or else by the run itself with a sentence; nothing is ever read."""
    deployment = _post(served, "/deployments/filter", {"deployments": {"name": {"any_": ["remix"]}}})[0]
    song = over[0] and _post(served, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [over[0]["id"]]}}})[0]
    good, refusals = song["parameters"], set()
    accepted, create = [], f"/deployments/{deployment['id']}/create_flow_run"
    for name in ("song", "voice", "separator", "splitter", "transformer", "soundfont", "backing", "device", "out"):
        for value in SNEAKY if name in ("song", "separator") else SNEAKY[1:3]:
            try:
                accepted.append((name, _post(served, create, {"parameters": {**good, name: value}})["id"]))
            except urllib.error.HTTPError as error:
                refusals.add(error.code)
    assert refusals <= {409, 422}
    assert {name for name, _ in accepted} <= {"soundfont", "out"}
    runs = served.until_over([one for _, one in accepted])
    assert {run["state"] for run in runs.values()} == {"Failed"}, runs
    wrong = [runs[one]["message"] for name, one in accepted if name == "soundfont"]
    assert all(message.startswith("There is no SoundFont named") for message in wrong), wrong


def test_a_batch_skips_what_is_done_and_one_failure_stops_nothing(served, over, songs, broken):
    folder = songs[0].parent
    done = served.remix("batch", "add", str(folder), "--every", "0 2 * * *", "--name", "nightly", *FAST)
    assert done.returncode == 0, done.stderr
    (row,) = served.told("batch", "list")
    assert (row["every"], row["paused"]) == ("0 2 * * *", False)
    assert row["time zone"]
    assert served.remix("batch", "run", "nightly").returncode == 0
    (batch,) = (run["id"] for run in served.told("runs") if run["name"] == "nightly (none)")
    served.until_running(batch)  # of two that wait, either may be the first
    assert served.remix("batch", "run", "nightly").returncode == 0
    (second,) = (run["id"] for run in served.told("runs") if run["name"] == "nightly (none)" and run["id"] != batch)
    served.remix("batch", "pause", "nightly")
    assert served.told("batch", "list")[0]["paused"]
    runs = served.until_over([batch, second])
    assert runs[batch]["message"] == "1 remixed, 2 skipped, 1 failed."
    assert runs[second]["state"] == "Cancelled", "no second one starts while one works"
    tables = _post(
        served, "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [batch]}, "type": {"any_": ["table"]}}}
    )
    rows = {row["song"]: row for row in json.loads(tables[0]["data"])}
    assert rows["first.wav"]["state"] == "skipped"
    assert rows["broken.wav"]["why"].startswith("broken.wav is truncated")
    assert served.remix("batch", "remove", "nightly").returncode == 0
    assert served.told("batch", "list") == []


def test_a_run_is_cancelled_while_it_works_and_while_it_waits(served, songs):
    works, waits = served.submit(songs[2], songs[2], choices=("--voice", "world", "--outro-bars", "40"))
    served.until_running(works)
    for run in (works, waits):
        assert served.remix("runs", "cancel", run).returncode == 0
    assert {run["state"] for run in served.until_over([works, waits]).values()} == {"Cancelled"}
    assert served.remix("runs", "cancel", works).returncode == 2


def test_a_dead_workers_run_is_taken_up_and_finished_stages_are_not_done_again(served, over, tmp_path):
    song = tmp_path / "taken up.wav"
    write_wav(example_song(seconds=6.0).mix, song)
    before = len(served.engine_log())
    (run,) = served.submit(song, choices=("--voice", "world", "--outro-bars", "1"))
    while not any(row.get("stage") == "separate" for row in served.engine_log()[before:]):
        time.sleep(0.1)
    while not any(row.get("stage") == "split_vocals" for row in served.engine_log()[before:]):
        time.sleep(0.1)
    served.kill("worker")
    died = time.monotonic()
    served.start_worker()
    while served.told("runs", "show", run)["state"] == "Running" and time.monotonic() - died < 240:
        time.sleep(2)
    taken_up_s = time.monotonic() - died
    assert served.until_over([run])[run]["state"] == "Completed"
    stages = Counter(row["stage"] for row in served.engine_log()[before:] if row["event"] == "stage")
    assert stages["separate"] == 1
    assert taken_up_s < 120
    print(f"taken up after {taken_up_s:.0f} s")


def test_a_killed_server_loses_no_run(served, over, tmp_path):
    song = tmp_path / "served.wav"
    write_wav(example_song(seconds=6.5).mix, song)
    (run,) = served.submit(song)
    time.sleep(6)
    served.kill("server")
    time.sleep(2)
    served.start_server()
    assert served.until_over([run])[run]["state"] == "Completed"


def _post(served: Service, path: str, body: object):
    request = urllib.request.Request(
        f"{served.api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503:  # SQLite is busy: ask again
                raise
        time.sleep(1)
