"""One HTML page that shows a remix: all plots are inlined, only the audio lies beside it as files."""

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from models.analysis.f0 import F0
from models.core.types import Grid, Score, Track
from models.report import dag, score_metrics
from models.report.metrics import clock
from models.report.plots import draw
from models.report.types import RATINGS, Measurements, PlotData, ReportInput, Spectrogram, Waveform

_HERE = Path(__file__).parent
_SCRIPTS = ("players.js", "drawing.js", "page.js")
"""In this order, inside one function of their own."""
_LABELS = {
    "mix": "Remix",
    "original": "Song",
    "revoiced": "Converted vocals",
    "backing": "Backing",
    "vocals": "Vocals",
    "drums": "Drums",
    "bass": "Bass",
    "other": "Other",
    "lead_vocals": "Lead vocals",
    "backing_vocals": "Backing vocals",
    "room": "Reverb",
}
"""Labels of the parts on the page, in its order."""
_GROUPS = {"mix": "Whole", "original": "Whole", "revoiced": "New", "backing": "New"}
_HUES = {
    "mix": "mix", "original": "song", "lead_vocals": "voice", "vocals": "voice", "backing_vocals": "choir",
    "room": "guitar", "drums": "drums", "bass": "bass", "other": "keys", "revoiced": "new", "backing": "mix",
    "piano": "keys", "guitar": "guitar", "strings": "choir", "melody": "voice",
}  # fmt: skip
_SPARE_HUES = ("keys", "guitar", "choir", "voice", "bass", "drums")
_MAX_F0_FRAMES = 24_000


def page(data: ReportInput, numbers: Measurements, drawings: PlotData | None = None) -> str:
    """The report as one HTML page, to be opened straight from disk, beside the files that `data.audio` names.

    With `drawings` from an earlier `draw` no audio is read.
    """
    stages = dag.merge_runs(data.stages)
    rooms = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    song = _song(data, numbers, drawings or draw(data))
    groups = list(dict.fromkeys(metric.group for metric in numbers.metrics))
    return rooms.get_template("page.html.j2").render(
        data=data,
        song=song,
        key=score_metrics.key_name(data.grid.key),
        length=clock(song["songSeconds"]),
        groups=[(group, [f for f in numbers.metrics if f.group == group]) for group in groups],
        counts=[(word, sum(f.word == word for f in numbers.metrics)) for word in RATINGS],
        word_class=dict(zip(RATINGS, ("good", "fair", "look"), strict=True)),
        shown=_format_value,
        spent=_format_duration,
        stages=stages,
        across=dag.draw(stages, across=True),
        down=dag.draw(stages, across=False),
        worked=sum(run.seconds for run in stages if not run.reused),
        reused=[run for run in stages if run.reused],
        css=Markup((_HERE / "page.css").read_text("utf-8")),
        script=Markup("\n".join((_HERE / name).read_text("utf-8") for name in _SCRIPTS)),
    )


def _song(data: ReportInput, numbers: Measurements, drawings: PlotData) -> dict[str, Any]:
    """The data of the page's script, ready for JSON; times are in milliseconds unless named otherwise."""
    outlines = (o for o in drawings.waveforms if o.name in data.audio or _is_audible(o))
    tracks = [_track(outline, data) for outline in sorted(outlines, key=_order)]
    ends = [*(track["seconds"] for track in tracks), data.score.end_s, data.extended.end_s]
    hues: dict[str, str] = {}
    return {
        "seconds": max(ends),
        "songSeconds": data.original.frames / data.original.sample_rate,
        "tracks": tracks,
        "pictures": [_picture(spectrogram) for spectrogram in drawings.spectrograms],
        "rolls": [_roll("Transcribed", data.score, hues), _roll("Generated", data.extended, hues)],
        "beats": _ms(data.grid.beats_s),
        "downbeats": _ms(data.grid.downbeats_s),
        "chords": _chords(data.grid),
        "noteNames": score_metrics.note_names(data.grid.key),
        "f0": [
            {"label": label, "hue": hue, **_pitch(track)}
            for label, hue, track in (
                ("Original vocals", "song", data.f0_original),
                ("Converted vocals", "new", data.f0_revoiced),
            )
            if track is not None
        ],
        "lagPower": {"x": numbers.lag_power.x, "y": numbers.lag_power.y},
        "spectra": [
            {"label": curve.name.capitalize(), "hue": hue, "x": curve.x, "y": curve.y}
            for curve, hue in zip(numbers.spectra, ("song", "mix"), strict=True)
        ],
    }


def _is_audible(outline: Waveform) -> bool:
    return any(b64decode(outline.peak))


def _order(outline: Waveform) -> float:
    """Sort key of a part on the page; other stems come before the parts of the vocals."""
    known = list(_LABELS)
    return known.index(outline.name) if outline.name in known else known.index("lead_vocals") - 0.5


def _track(outline: Waveform, data: ReportInput) -> dict[str, Any]:
    key = outline.name
    stem = "Parts of the vocals" if key in data.vocal_parts else "Stems of the song"
    return {
        "key": key,
        "label": _LABELS.get(key, key.replace("_", " ").capitalize()),
        "group": _GROUPS.get(key, stem),
        "hue": _HUES.get(key, "keys"),
        "src": quote(data.audio[key], safe="/") if key in data.audio else None,
        "seconds": outline.seconds,
        "peakSeconds": outline.drawn_s,
        "peaks": outline.peak,
        "rms": outline.rms,
    }


def _picture(spectrogram: Spectrogram) -> dict[str, Any]:
    png = f"data:image/png;base64,{spectrogram.png}"
    return {"label": _LABELS[spectrogram.name], "seconds": spectrogram.seconds, "png": png}


def _roll(label: str, score: Score, hues: dict[str, str]) -> dict[str, Any]:
    return {"label": label, "tracks": [_part(track, hues) for track in score.tracks if track.notes]}


def _part(track: Track, hues: dict[str, str]) -> dict[str, Any]:
    """One instrument of a piano roll; equal names get equal colours, and different ones different where they last."""
    if track.name not in hues:
        wanted = "drums" if track.is_drum else _HUES.get(track.name.lower(), "")
        spare = [hue for hue in _SPARE_HUES if hue not in hues.values()] or list(_SPARE_HUES)
        hues[track.name] = wanted if wanted and wanted not in hues.values() else spare[0]
    return {
        "name": track.name.replace("_", " "),
        "hue": hues[track.name],
        "drum": track.is_drum,
        "notes": [[round(1000 * n.onset_s), round(1000 * n.duration_s), n.pitch, n.velocity] for n in track.notes],
    }


def _chords(grid: Grid) -> list[list[Any]]:
    """The chords as runs of equal ones: start, end, name."""
    runs: list[list[Any]] = []
    times = _ms(grid.beats_s)
    ends = [*times[1:], 2 * times[-1] - times[-2]] if len(times) > 1 else times
    for start, end, label in zip(times, ends, grid.chords, strict=False):
        name = score_metrics.chord_symbol(label, grid.key)
        if runs and runs[-1][2] == name:
            runs[-1][1] = end
        else:
            runs.append([start, end, name])
    return [run for run in runs if run[2]]


def _pitch(track: F0) -> dict[str, Any]:
    """A pitch track as unsigned 16-bit hundredths of a MIDI note number, 0 where unvoiced, in base 64."""
    step = max(int(np.ceil(len(track.hz) / _MAX_F0_FRAMES)), 1)
    hz = track.hz[::step].astype(np.float64)
    cents = np.where(hz > 0, np.round(100 * (69 + 12 * np.log2(np.maximum(hz, 1.0) / 440))), 0)
    packed = np.clip(cents, 0, 12_800).astype("<u2").tobytes()
    return {"hop": track.hop_s * step, "cents": b64encode(packed).decode()}


def _ms(times_s: tuple[float, ...]) -> list[int]:
    return [round(1000 * time) for time in times_s]


def _format_duration(seconds: float) -> str:
    """Seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _format_value(value: float) -> str:
    """A number with a fitting count of digits and a real minus sign."""
    digits = 0 if value == 0 or abs(value) >= 100 else 2 if abs(value) < 1 else 1
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
