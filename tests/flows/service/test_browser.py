"""The service as it is watched: a song submitted, and its run's page in the UI in a real headless browser."""

import base64
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from models.audio.encode import write_wav
from models.synthesis.example_song import example_song
from tests.support.chromium import Tab, chromium
from tests.support.service import Service, service

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not here: apt-get install chromium"),
]

PATIENCE_S = 240.0
SECRET = ("remix", "a-secret-of-this-test")
TEXT = "(document.body?.innerText ?? '')"


def open_tab(tab: Tab, name: str) -> None:
    """Click one of the tabs of the run's page."""
    leaves = "[...document.querySelectorAll('*')].filter((e) => !e.children.length)"
    found = f"{leaves}.find((e) => e.textContent.trim() === '{name}')"
    tab.until(f"!!({found})", PATIENCE_S)
    tab.ask(f"({found}).click()")


def picture(tab: Tab, path: Path) -> None:
    path.write_bytes(base64.b64decode(tab.call("Page.captureScreenshot", format="png")["data"]))


def test_a_song_is_watched_in_the_ui_from_its_progress_to_its_pictures(tmp_path):
    song = tmp_path / "a song.wav"
    write_wav(example_song(seconds=20.0).mix, song)
    kept = Path(os.environ.get("SCREENSHOTS", tmp_path))
    (tmp_path / "auth").write_text(":".join(SECRET))
    secret = {"REMIX_AUTH_FILE": str(tmp_path / "auth")}
    with service(tmp_path / "home", **secret) as served, chromium(tmp_path / "profile") as tab:
        tab.call("Emulation.setDeviceMetricsOverride", width=1300, height=1500, deviceScaleFactor=1, mobile=False)
        (run,) = served.told("submit", str(song), "--voice", "world", "--outro-bars", "2")
        log_in(tab, run["page"].split("/runs/")[0])
        tab.call("Page.navigate", url=run["page"])
        tab.until(f"{TEXT}.includes('a song (world)')", PATIENCE_S)
        tab.until(f"{TEXT}.includes('Running')", PATIENCE_S)
        open_tab(tab, "Artifacts")
        seen: dict[str, set[float]] = {}
        end = time.monotonic() + 600
        while "Completed" not in tab.ask(TEXT):
            assert time.monotonic() < end, tab.ask(TEXT)
            for row in artifacts(served, run["id"], "progress"):
                seen.setdefault(row["description"], set()).add(float(row["data"]))
            if len(seen) == 3:
                picture(tab, kept / "service-running.png")
            time.sleep(0.5)
        assert max(len(steps) for steps in seen.values()) >= 3, "no bar was seen to move"
        tab.call("Page.reload")
        tab.until(f"{TEXT}.includes('Completed')", PATIENCE_S)
        open_tab(tab, "Artifacts")
        tab.until(f"{TEXT}.includes('piano roll')", PATIENCE_S)
        picture(tab, kept / "service-run.png")
        pictures = artifacts(served, run["id"], "image")
        assert {row["description"] for row in pictures} == {"waveform", "spectrogram", "piano roll"}
        for row in pictures:
            tab.call("Page.navigate", url=f"{run['page'].split('/runs/')[0]}/artifacts/artifact/{row['id']}")
            shown = "[...document.images].some((i) => i.src.startsWith('data:image') && i.naturalWidth > 300)"
            tab.until(shown, PATIENCE_S)
        picture(tab, kept / "service-picture.png")
        assert (kept / "service-picture.png").stat().st_size > 20_000
        links_are_followed(tab, served, run)


def links_are_followed(tab: Tab, served: Service, run: dict[str, Any]) -> None:
    """A click on each link of the run's page shows the report, with sound, and plays the mix; the secret is asked."""
    tab.know(*SECRET)
    ui = run["page"].split("/runs/")[0]
    links = {row["data"].partition("]")[0][1:]: row["id"] for row in links_of(served, run["id"])}
    assert set(links) == {"report.html", "mix.mp3"}
    for name, kind in (("report.html", "text/html"), ("mix.mp3", "audio/mpeg")):
        tab.call("Page.navigate", url=f"{ui}/artifacts/artifact/{links[name]}")
        tab.until("!!document.querySelector('a[href*=\"/remixes/\"]')", PATIENCE_S)
        address = tab.ask("document.querySelector('a[href*=\"/remixes/\"]').href")
        assert address.startswith(f"{ui}/remixes/{run['id']}/")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address, timeout=60)
        tab.ask("document.querySelector('a[href*=\"/remixes/\"]').removeAttribute('target')")  # no second tab
        tab.click("a[href*='/remixes/']")
        tab.until(f"location.href === {address!r} && document.readyState === 'complete'", PATIENCE_S)
        assert tab.answers[address][1] == kind
        assert tab.answers[address][0] in (200, 206)
        if name == "report.html":
            assert tab.ask("document.title").startswith("a song")
            playable = "[...document.querySelectorAll('audio')].every((a) => a.readyState > 0 && a.duration > 15)"
            tab.until(f"document.querySelectorAll('audio').length > 4 && {playable}", PATIENCE_S)
    tab.until("document.querySelector('video, audio').duration > 15", PATIENCE_S)


def log_in(tab: Tab, ui: str) -> None:
    """Give the UI the secret that it asks for."""
    tab.call("Page.navigate", url=f"{ui}/login")
    tab.until("!!document.querySelector('input[type=password]')", PATIENCE_S)
    tab.ask("document.querySelector('input[type=password]').focus()")
    tab.call("Input.insertText", text=":".join(SECRET))
    tab.ask("document.querySelector('button[type=submit]').click()")
    tab.until("!location.pathname.startsWith('/login')", PATIENCE_S)


def links_of(served: Service, run_id: str) -> list[dict[str, Any]]:
    return [row for row in artifacts(served, run_id, "markdown") if row["data"].startswith("[")]


def artifacts(served: Service, run_id: str, kind: str) -> list[dict[str, Any]]:
    """A run's artifacts of a kind, as the page gets them."""
    body = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": [kind]}}}
    known = base64.b64encode(":".join(SECRET).encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {known}"}
    request = urllib.request.Request(f"{served.api}/artifacts/filter", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found
