"""Beats, downbeats, key and chords, evaluated beside librosa's defaults."""

from pathlib import Path
from typing import Any

from flows.evaluation.known_songs import known_songs
from flows.separators import usable
from models.analysis.analyse import estimate_grid
from models.analysis.beat_tracker.network import BeatTracker, load
from models.analysis.settings import AnalyseSettings
from models.core import registry
from models.core.types import Grid, Wave
from models.transcription.evaluation.baselines import librosa_grid
from models.transcription.evaluation.metrics import grid_scores, mean_scores

_WAYS = ("separated_stems", "true_stems", "librosa")


def evaluate_grid(
    midi: Path | None,
    part: str,
    songs: int,
    seconds: float,
    separator: str,
    settings: AnalyseSettings,
) -> dict[str, Any]:
    """Beat and downbeat F-measure, weighted key score, chord root and maj/min accuracy: means, and each song's.

    Three estimates: from separated stems as in a remix, from the true stems, and librosa's defaults on the
    mix. Raises `BadInput` for a folder without songs.
    """
    tracker = load(registry.verified(registry.find("beat_tracker", settings.tracker)))
    separator = usable(separator).separator
    rows: list[dict[str, Any]] = []
    for song in known_songs(midi, part, songs, seconds, separator):
        grids = {
            "separated_stems": _analysed(song.separated, tracker, settings),
            "true_stems": _analysed(song.true, tracker, settings),
            "librosa": librosa_grid(song.mix),
        }
        truth = {"tempo_bpm": song.piece.grid.tempo_bpm, "metre": song.piece.grid.metre, "key": song.piece.grid.key}
        estimates = {way: {"tempo_bpm": g.tempo_bpm, "metre": g.metre, "key": g.key} for way, g in grids.items()}
        scores = {way: grid_scores(song.piece, grid) for way, grid in grids.items()}
        rows.append({"song": song.piece.name, "reference": truth, "estimate": estimates, "scores": scores})
    means = {way: mean_scores(row["scores"][way] for row in rows) for way in _WAYS}
    return {"songs": len(rows), "separator": separator, "means": means, "by_song": rows}


def _analysed(stems: dict[str, Wave], tracker: BeatTracker, settings: AnalyseSettings) -> Grid:
    return estimate_grid(stems["drums"], stems["bass"], stems["other"], tracker, settings)
