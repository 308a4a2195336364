"""The report in a real browser, opened straight from disk."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from models.core.types import Wave
from models.report.metrics import measure
from models.report.page import page
from models.report.types import StageRun
from tests.support.chromium import Tab, chromium
from tests.support.report_song import RATE, melody, noise, remix

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium"),
]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A remix of 16 s with an outro of 4 s, and its page with the audio beside it."""
    folder = tmp_path_factory.mktemp("a song #1, 100%")
    (folder / "stems").mkdir()
    song = remix(title="<script>alert(1)</script>")
    data = replace(
        song,
        mix=Wave(noise(20, 3), RATE),
        extended=melody([60, 64, 67, 72] * 10),
        audio={
            "mix": "mix.wav",
            "original": "original.flac",
            "revoiced": "revoiced.flac",
            "backing": "backing.flac",
            "lead_vocals": "stems/lead_vocals.flac",
            "other": "stems/other.flac",
        },
        stages=(StageRun("separate", 2.0, True, ()), StageRun("mixdown", 1.0, False, ("separate",))),
    )
    assert data.revoiced
    sources = {"mix": data.mix, "original": data.original, "revoiced": data.revoiced, "backing": data.backing}
    for name, source in {**sources, **data.stems}.items():
        soundfile.write(folder / data.audio[name], source.read(0, source.frames).T, RATE)
    (folder / "report.html").write_text(page(data, measure(data)), "utf-8")
    return folder / "report.html"


def playing(tab: Tab) -> set[str]:
    """The parts that are playing."""
    return set(tab.ask("[...document.querySelectorAll('audio')].filter((a) => !a.paused).map((a) => a.dataset.part)"))


def wait_playing(tab: Tab, *parts: str) -> None:
    wanted = ",".join(sorted(parts))
    tab.until(
        "[...document.querySelectorAll('audio')].filter((a) => !a.paused).map((a) => a.dataset.part).sort().join()"
        f" === {wanted!r}"
    )


def from_the_start(tab: Tab) -> None:
    """Put the playhead back, since on a busy machine the song may end before a test does."""
    tab.click("[data-part='mix'] .stage", across=0.02)


def clock(tab: Tab) -> float:
    return float(tab.ask("Number(document.getElementById('position').value)"))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_without_a_complaint_a_request_or_a_sideways_scroll(
    tab: Tab, report: Path, width: int, dark: bool
) -> None:
    tab.open(report, width, dark)
    tab.until("[...document.querySelectorAll('audio')].every((a) => a.readyState > 0)")
    assert tab.complaints == []
    beside = report.parent.as_uri()
    assert [url[:90] for url in tab.requests if not url.startswith((beside, "data:"))] == []
    assert len([url for url in tab.requests if url.startswith(beside)]) == 7
    assert tab.ask("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('body *')].filter((e) => !e.closest('svg') && e.getBoundingClientRect().right"
    assert tab.ask(f"{wide} > {width} + 1).map((e) => e.className || e.id)") == []
    paper = tab.ask("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(21, 22, 26)") == dark
    assert tab.ask("document.querySelector('h1').textContent") == "<script>alert(1)</script>"


def test_everything_is_drawn(tab: Tab, report: Path) -> None:
    tab.open(report)
    tab.ask("new Promise((done) => setTimeout(done, 300))")
    colours = """[...document.querySelectorAll('canvas')].map((canvas) => {
        const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
        for (let i = 0; i < d.length; i += 4) if (d[i + 3]) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]);
        return [canvas.getAttribute('aria-label'), seen.size];
    })"""
    drawn = dict(tab.ask(colours))
    assert all(label for label in drawn)
    assert min(drawn.values()) >= 2
    assert min(count for label, count in drawn.items() if label.startswith("Spectrogram")) > 50
    waveform = "document.querySelector(\"[data-part='mix'] canvas\").toDataURL()"
    whole = tab.ask(waveform)
    tab.click("[data-zoom='0.5']")
    tab.until(f"{waveform} !== {whole!r}")
    tab.click("[data-zoom='0']")
    tab.until(f"{waveform} === {whole!r}")


def test_it_plays_the_remix_and_pauses(tab: Tab, report: Path) -> None:
    tab.open(report)
    assert playing(tab) == set()
    tab.click("#play")
    tab.until("Number(document.getElementById('position').value) > 0.5")
    assert playing(tab) == {"mix"}
    assert tab.ask("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    tab.click("#play")
    wait_playing(tab)
    stopped = clock(tab)
    assert tab.ask("new Promise((done) => setTimeout(() => done(Number(position.value)), 300))") == stopped
    assert tab.complaints == []


def test_solo_and_mute_decide_what_sounds(tab: Tab, report: Path) -> None:
    tab.open(report)
    tab.click("[data-preset='Stems']")
    tab.click("#play")
    wait_playing(tab, "lead_vocals", "other")
    tab.click("[data-part='other'] .mute")
    wait_playing(tab, "lead_vocals")
    assert tab.ask("document.querySelector(\"[data-part='other'] .mute\").getAttribute('aria-pressed')") == "true"
    from_the_start(tab)
    tab.click("[data-part='other'] .mute")
    tab.click("[data-part='original'] .solo")
    wait_playing(tab, "original")
    from_the_start(tab)
    tab.click("[data-part='original'] .solo")
    wait_playing(tab, "lead_vocals", "original", "other")
    from_the_start(tab)
    tab.click("[data-preset='Song']")
    wait_playing(tab, "original")
    assert tab.ask("document.querySelector(\"[data-preset='Song']\").getAttribute('aria-pressed')") == "true"


def test_parts_stay_together_and_follow_the_playhead(tab: Tab, report: Path) -> None:
    tab.open(report)
    tab.click("[data-preset='Stems']")
    tab.click("#play")
    tab.click("[data-part='mix'] .stage", across=0.5)
    assert clock(tab) == pytest.approx(10, abs=1.5)
    tab.until("Number(document.getElementById('position').value) > 12")
    times = tab.ask("[...document.querySelectorAll('audio')].filter((a) => !a.paused).map((a) => a.currentTime)")
    assert len(times) == 2
    assert max(times) - min(times) < 0.05
    at = "new DOMMatrix(getComputedStyle(document.querySelector(\"[data-part='mix'] .head\")).transform).m41"
    width = "document.querySelector(\"[data-part='mix'] .stage\").clientWidth"
    assert tab.ask(f"{at} / {width} * 20 - Number(position.value)") == pytest.approx(0, abs=0.2)


def test_at_the_end_it_stops_and_goes_back(tab: Tab, report: Path) -> None:
    tab.open(report)
    tab.click("#play")
    tab.click("[data-part='mix'] .stage", across=0.96)
    tab.until("document.getElementById('play').getAttribute('aria-label') === 'Play'")
    assert clock(tab) == 0
    assert playing(tab) == set()


def test_it_goes_by_the_keyboard(tab: Tab, report: Path) -> None:
    tab.open(report)
    for key in (" ", "ArrowRight"):
        code = {" ": "Space"}.get(key, key)
        tab.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=code, text=key if key == " " else "")
        tab.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=code)
    wait_playing(tab, "mix")
    assert clock(tab) >= 5


def test_every_control_has_a_name(tab: Tab, report: Path) -> None:
    tab.open(report)
    tab.call("Accessibility.enable")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in nodes if node.get("role", {}).get("value") in ("button", "slider", "image", "img")]
    assert len(controls) > 25
    assert [node for node in controls if not node["name"]["value"]] == []


def test_missing_audio_is_said_and_the_rest_still_drawn(tab: Tab, report: Path, tmp_path: Path) -> None:
    lonely = tmp_path / "report.html"
    lonely.write_bytes(report.read_bytes())
    tab.open(lonely)
    tab.until("!document.getElementById('trouble').hidden")
    assert tab.ask("document.querySelectorAll('.lane canvas').length") >= 10


def test_a_phone_opens_on_the_first_minute_and_can_show_all(tab: Tab, tmp_path: Path) -> None:
    long = Wave(noise(200, 1, 8000), 8000)
    data = remix(original=long, mix=long, backing=long, revoiced=None, stems={}, f0_original=None, f0_revoiced=None)
    (tmp_path / "report.html").write_text(page(data, measure(data)), "utf-8")
    tab.open(tmp_path / "report.html", 390)
    tab.click("[data-part='mix'] .stage", across=1 - 1e-3)
    assert clock(tab) == pytest.approx(390 * 0.16, abs=1)
    tab.click("[data-zoom='0']")
    tab.click("[data-part='mix'] .stage", across=0.5)
    assert clock(tab) == pytest.approx(100, abs=1)
