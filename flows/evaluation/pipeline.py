"""Whole remixes evaluated: the metrics of their reports, and loudness by independent meters."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyloudnorm
import soundfile

from flows.evaluation.known_songs import mixed, true_stems
from flows.options import RemixOptions
from flows.remix import remix
from models.audio.encode import write_wav
from models.audio.ffmpeg import ffmpeg_binary
from models.core.errors import BadInput
from tasks.runs.publish import Remix

METER = ("-af", "ebur128=peak=true", "-f", "null", "-")
"""ffmpeg's arguments that measure loudness and write nothing."""


def evaluate_pipeline(songs: Iterable[Path], out: Path, options: RemixOptions) -> dict[str, Any]:
    """Remix songs (what is kept is reused) and return every metric of their reports, JSON-sized.

    `out` gets a folder for each. Raises `BadInput` for a song that cannot be read.
    """
    rows = []
    for song in songs:
        made: Remix = remix(song=song, out=out, **options.model_dump())
        manifest = json.loads((made.folder / "manifest.json").read_text())
        rows.append(
            {
                "song": manifest["input"]["file"],
                "seconds": manifest["input"]["seconds"],
                "figures": {f["name"]: {k: f[k] for k in ("value", "unit", "word")} for f in manifest["figures"]},
                "independent_meters": independent_meters(made.folder / "mix.wav"),
                "notes": manifest["notes"],
                "folder": str(made.folder),
            }
        )
    return {"songs": len(rows), "voice": options.voice, "separator": options.separator, "by_song": rows}


def made_songs(midi: Path | None, count: int, seconds: float, out: Path) -> Iterator[Path]:
    """Songs as files, written below `out`: rendered from a folder of MIDI or, without one, our own example songs."""
    folder = out / "songs"
    folder.mkdir(parents=True, exist_ok=True)
    for piece, stems in true_stems(midi, "test", count, seconds):
        path = folder / f"{piece.name.replace('/', ' ')}.wav"
        write_wav(mixed(stems), path)
        yield path


def independent_meters(path: Path) -> dict[str, float]:
    """Integrated loudness (LUFS) by pyloudnorm and by ffmpeg's ebur128, and true peak (dBTP) by the latter."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    command = [
        ffmpeg_binary(),
        "-nostdin",
        "-hide_banner",
        "-i",
        str(path),
        *METER,
    ]
    log = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stderr
    summary = log.rpartition("Summary:")[2]
    loudness, peak = re.search(r"I:\s+(-?[\d.]+) LUFS", summary), re.search(r"Peak:\s+(-?[\d.]+) dBFS", summary)
    if not loudness or not peak:
        raise BadInput(f"ffmpeg cannot measure {path}.")
    return {
        "pyloudnorm_lufs": round(float(pyloudnorm.Meter(rate).integrated_loudness(samples)), 2),
        "ffmpeg_lufs": float(loudness[1]),
        "ffmpeg_true_peak_dbtp": float(peak[1]),
    }
