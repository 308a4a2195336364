"""The page as text: whole, self-contained, and harmless whatever the song is called."""

import io
import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.core.types import Grid, Note, Samples, Score, Track, Wave
from models.report import dag
from models.report.metrics import measure
from models.report.page import page
from models.report.plots import draw, peaks, spectrogram, summary_plots
from models.report.types import Measurements, ReportInput, StageRun
from tests.support.report_song import RATE, melody, noise, remix


@pytest.fixture(scope="module")
def numbers() -> Measurements:
    return measure(remix())


def inlined(html: str) -> dict[str, Any]:
    """The data that the page's script draws."""
    result = re.search(r'<script type="application/json" id="song">(.*?)</script>', html, re.S)
    assert result
    song: dict[str, Any] = json.loads(result[1])
    return song


class Tags(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_song_called_script_is_harmless(numbers: Measurements) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    track = Track(evil, 0, False, (Note(0.0, 1.0, 60, 90),))
    song = remix()
    data = replace(
        song,
        title=evil,
        notes=(evil,),
        voice=evil,
        voice_ground=evil,
        separator=evil,
        score=Score((track,)),
        stems={evil: song.stems["other"]},
        stages=(StageRun(evil, 1.0, True, ()),),
    )
    html = page(data, numbers)
    assert [tag for tag, _ in Tags(html).tags].count("script") == 2
    assert "img" not in [tag for tag, _ in Tags(html).tags]
    assert "<h1" in html
    assert "&lt;/script&gt;" in html
    assert inlined(html)["rolls"][0]["tracks"][0]["name"] == evil


def test_the_page_asks_nothing_of_the_network(numbers: Measurements) -> None:
    html = page(remix(audio={"mix": "mix.wav"}), numbers)
    assert not re.search(r"(https?:|@import|url\(|//[a-z]+\.)", html)
    assert [tag for tag, _ in Tags(html).tags if tag in ("link", "iframe", "object", "embed", "form")] == ["link"]


def test_audio_is_named_relative_to_the_page(numbers: Measurements) -> None:
    html = page(remix(audio={"mix": "mix #1?.wav", "other": "stems/100%.flac", "original": "javascript:x"}), numbers)
    sources = {track["key"]: track["src"] for track in inlined(html)["tracks"]}
    assert sources["mix"] == "mix%20%231%3F.wav"
    assert sources["other"] == "stems/100%25.flac"
    assert sources["original"] == "javascript%3Ax"
    assert sources["lead_vocals"] is None


def test_every_number_stands_with_its_word_and_meaning(numbers: Measurements) -> None:
    html = page(remix(), numbers)
    assert len(numbers.metrics) >= 15
    for figure in numbers.metrics:
        assert figure.name in html
        assert figure.meaning.split("'")[0] in html
    assert html.count('<dd class="word') == len(numbers.metrics)


def test_notes_chords_beats_and_pitch_are_all_there(numbers: Measurements) -> None:
    song = inlined(page(remix(), numbers))
    assert song["rolls"][0]["tracks"][0]["notes"][1] == [500, 500, 64, 90]
    assert song["rolls"][1]["label"] == "Generated"
    assert [run[2] for run in song["chords"]] == ["C", "Am"] * 4
    assert song["chords"][0][:2] == [0, 2000]
    assert song["beats"][:3] == [0, 500, 1000]
    assert len(song["f0"]) == 2
    assert song["seconds"] == 16


def test_flats_are_written_as_flats(numbers: Measurements) -> None:
    data = remix()
    flat = replace(data, grid=replace(data.grid, key="A#:maj", chords=("A#:maj", "D#:maj") * 16))
    html = page(flat, numbers)
    assert "B♭ major" in html
    assert [run[2] for run in inlined(html)["chords"][:2]] == ["B♭", "E♭"]
    assert inlined(html)["noteNames"][10] == "B♭"


def test_a_page_without_voice_or_notes_is_still_a_page() -> None:
    data = remix(
        stems={},
        revoiced=None,
        f0_original=None,
        f0_revoiced=None,
        score=Score(()),
        extended=Score(()),
        grid=Grid((), (), 0.0, 4, "", ()),
        notes=("No vocals were found.",),
        stages=(),
    )
    html = page(data, measure(data))
    assert 'id="pitch"' not in html
    assert "No vocals were found." in html
    assert [track["key"] for track in inlined(html)["tracks"]] == ["mix", "original", "backing"]


def test_equal_remixes_give_equal_pages(numbers: Measurements) -> None:
    assert page(remix(), numbers) == page(remix(), numbers)


def test_four_minutes_stay_small(numbers: Measurements) -> None:
    long = Wave(noise(240, 1, 8000), 8000)  # noise compresses worst
    tracks = tuple(Track(f"part {i}", 0, False, melody([60 + i] * 1000, step_s=0.24).tracks[0].notes) for i in range(5))
    data = remix(original=long, mix=long, backing=long, revoiced=long, score=Score(tracks), extended=Score(tracks))
    html = page(replace(data, stems={f"stem {i}": long for i in range(7)}), numbers)
    assert len(html.encode()) < 3e6


def test_a_page_from_kept_drawings_reads_no_audio(numbers: Measurements) -> None:
    @dataclass(frozen=True)
    class Closed:
        sample_rate: int = RATE
        channels: int = 1
        frames: int = 16 * RATE

        def read(self, start: int, stop: int) -> Samples:
            raise AssertionError("the audio was read")

    data = remix()
    kept, closed = draw(data), Closed()
    stems = dict.fromkeys(data.stems, closed)
    shut = replace(data, original=closed, mix=closed, backing=closed, revoiced=closed, stems=stems)
    assert page(shut, numbers, kept) == page(data, numbers)


def test_peaks_hold_the_loudest_and_the_typical_magnitude() -> None:
    samples = np.zeros((2, 3 * RATE), np.float32)
    samples[1, RATE] = -0.5
    samples[0, 2 * RATE :] = 0.25
    shape = peaks(Wave(samples, RATE))
    assert shape.seconds == pytest.approx(3.0, abs=0.02)
    assert shape.peak[50] == round(255 * 0.5)
    assert shape.peak[:49].max() == 0
    assert shape.peak[125] == round(255 * 0.25)
    assert shape.rms[125] == round(255 * 0.25 / np.sqrt(2))
    assert len(peaks(Wave(samples, RATE), most=10).peak) == 10


def test_the_spectrogram_shows_where_and_when_a_tone_sounds() -> None:
    times = np.arange(4 * RATE) / RATE
    tone = np.where(times < 2, np.sin(2 * np.pi * 440 * times), np.sin(2 * np.pi * 3520 * times)) * (times < 3.5)
    picture = spectrogram(Wave(tone[None].astype(np.float32), RATE), columns=80)
    assert picture.shape == (160, 80)
    early, late = picture[:, 5:35].mean(axis=1), picture[:, 45:65].mean(axis=1)
    assert np.argmax(early) > np.argmax(late) + 40  # low notes lie last
    assert picture[:, -3:].max() == 0


@pytest.mark.parametrize("seconds", [0.01, 1.0])
def test_short_audio_is_drawn(seconds: float) -> None:
    wave = Wave(noise(seconds, 1), RATE)
    assert spectrogram(wave).shape[1] >= 1
    assert peaks(wave).peak.max() > 0


def graph() -> tuple[StageRun, ...]:
    return (
        StageRun("ingest", 1.0, True, ()),
        StageRun("separate", 60.0, True, ("ingest",)),
        StageRun("revoice", 40.0, False, ("separate",)),
        StageRun("transcribe", 8.0, False, ("separate",)),
        StageRun("extend", 5.0, False, ("transcribe",)),
        StageRun("mixdown", 3.0, False, ("revoice", "extend", "separate")),
    )


@pytest.mark.parametrize("across", [True, False])
def test_the_graph_runs_one_way_and_its_boxes_do_not_meet(across: bool) -> None:
    drawing = dag.draw(graph(), across)
    along = {box.run.name: box.x if across else box.y for box in drawing.boxes}
    for run in graph():
        assert all(along[name] < along[run.name] for name in run.after)
    for one in drawing.boxes:
        assert one.x >= 0
        assert one.y >= 0
        assert one.x + drawing.box_width <= drawing.width + 1
        assert one.y + drawing.box_height <= drawing.height
        for other in drawing.boxes:
            apart = abs(one.x - other.x) >= drawing.box_width or abs(one.y - other.y) >= drawing.box_height
            assert apart or one is other


def test_the_graph_says_seconds_and_reuse(numbers: Measurements) -> None:
    html = page(remix(stages=graph()), numbers)
    assert "separate: 60.0 s, reused" in html
    assert "revoice: 40.0 s</title>" in html
    assert "2 of 6 tasks were reused, which saved 61 s" in html


def test_summary_pictures_are_pictures_and_show_the_notes() -> None:
    data = remix()
    pictures = summary_plots(data)
    assert set(pictures) == {"waveform", "spectrogram", "piano_roll"}
    for png in pictures.values():
        assert Image.open(io.BytesIO(png)).size[0] >= 800
    empty: ReportInput = replace(data, score=Score(()), extended=Score(()))
    assert summary_plots(empty)["piano_roll"] != pictures["piano_roll"]


def test_vocals_given_whole_and_in_parts_are_grouped(numbers: Measurements) -> None:
    lead, band = remix().stems["lead_vocals"], remix().stems["other"]
    data = remix(stems={"lead_vocals": lead, "vocals": lead, "a kazoo": band, "drums": band})
    tracks = [(track["label"], track["group"]) for track in inlined(page(data, numbers))["tracks"]][4:]
    stems = "Stems of the song"
    assert tracks == [
        ("Vocals", stems), ("Drums", stems), ("A kazoo", stems), ("Lead vocals", "Parts of the vocals"),
    ]  # fmt: skip
