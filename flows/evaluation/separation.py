"""Separators evaluated on songs with true stems: what `remix eval separation` runs.

A folder is one song in MUSDB's layout (drums, bass, other and vocals as sound files; lead_vocals and backing_vocals may
stand for vocals, and a stem that is not there is silent), or holds such folders. Every table has the baselines: an even
share of the mix and the ideal ratio mask.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from models.core.errors import BadInput
from models.core.types import Samples, Wave
from models.separation.evaluation.scores import SourceScores, equal_split, ideal_ratio_masks, scores
from models.separation.stems import STEMS, check_sources, parts_of_other

RATE = 44100
BASELINES = ("even share", "ideal ratio mask")
OWN_SECONDS = 24.0


@dataclass(frozen=True)
class Trial:
    """One separator's score of one source of one song."""

    song: str
    separator: str
    score: SourceScores


@dataclass(frozen=True)
class KnownSong:
    """A song's name and its stems, shape (4, 2, frames) in the order of `STEMS`."""

    name: str
    truth: Samples


def evaluate_separation(
    songs: Sequence[Path], separators: Sequence[str], bss_eval: bool = False, device: str = "cpu"
) -> Iterator[Trial]:
    """Score the baselines and each separator on each song below the folders; yields a trial as soon as it is known.

    `bss_eval` adds BSS Eval v4, about a minute for each minute of music. Raises `BadInput` for a folder without stems
    and an unknown or unusable separator.
    """
    yield from trials(folder_songs(songs), separators, bss_eval, device)


def trials(
    songs: Iterator[KnownSong], separators: Sequence[str], bss_eval: bool = False, device: str = "cpu"
) -> Iterator[Trial]:
    """Score the baselines and each separator on each song; unusable separators are refused before all else."""
    from models.separation.checkpoints import load, separator_path

    networks = {name: load(separator_path(name), device) for name in separators}
    for name, network in networks.items():
        sources: list[str] = list(network.sources)  # type: ignore[arg-type]
        check_sources(name, sources)
        expected(np.zeros((len(STEMS), 2, 0), np.float32), sources)
    for song in songs:
        for name in BASELINES:
            estimate = equal_split(song.truth.sum(axis=0), 4) if name == BASELINES[0] else ideal_ratio_masks(song.truth)
            for score in scores(STEMS, song.truth, estimate, RATE, bss_eval):
                yield Trial(song.name, name, score)
        for name, network in networks.items():
            sources, estimate = separated(network, song.truth.sum(axis=0), device)
            for score in scores(sources, expected(song.truth, sources), estimate, RATE, bss_eval):
                yield Trial(song.name, name, score)


def folder_songs(folders: Sequence[Path]) -> Iterator[KnownSong]:
    """The songs in folders of the user's."""
    for folder in (f for song in folders for f in song_folders(song)):
        yield KnownSong(folder.name, true_stems(folder))


def own_songs(count: int) -> Iterator[KnownSong]:
    """Songs that need no data: the project's example song and variations of it, sung by its synthetic singers."""
    from models.separation.evaluation.songs import synthetic_song

    for seed in range(count):
        yield KnownSong(f"example {seed}", synthetic_song(seed, OWN_SECONDS))


def present() -> list[str]:
    """The separators that can run without fetching anything."""
    from models.core import registry
    from models.separation.checkpoints import to_fetch

    rows = [row for row in registry.manifest() if row.kind == "separator"]
    return [row.name for row in rows if all(part.path.is_file() for part in to_fetch(row.name))]


def song_folders(folder: Path) -> list[Path]:
    """The folder itself where it holds stems, else those of its folders that do."""
    folders = [f for f in (folder, *sorted(p for p in folder.glob("*") if p.is_dir())) if _stem_files(f)]
    if not folders:
        raise BadInput(f"There are no stems in {folder}: it needs drums, bass, other and vocals as sound files.")
    return folders[:1] if folders[0] == folder else folders


def true_stems(folder: Path) -> Samples:
    """The stems of a song at 44.1 kHz in stereo. Shape: (4, 2, frames)."""
    waves = {path.stem: _read(path) for path in _stem_files(folder)}
    frames = max(wave.shape[1] for wave in waves.values())
    truth = np.zeros((4, 2, frames), np.float32)
    for name, wave in waves.items():
        row = STEMS.index(name) if name in STEMS else STEMS.index("vocals")
        truth[row, :, : wave.shape[1]] += wave
    return truth


def separated(network: Any, mix: Samples, device: str) -> tuple[list[str], Samples]:
    """What a separator makes of a mix: its sources' names and their waves, (sources, 2, frames)."""
    from models.separation.separate import split
    from models.separation.settings import SeparateSettings

    blocks = list(split(Wave(mix, RATE), network, SeparateSettings(), 0, device))
    return list(network.sources), np.concatenate(blocks, axis=2)


def expected(truth: Samples, sources: Sequence[str]) -> Samples:
    """The truth in a separator's own sources: stems it does not part belong to its `other`. Shape as its estimate.

    A network without `other` may call it otherwise (accompaniment), but raises `BadInput` where it has several instead.
    """
    rest = ["other"] if "other" in sources else parts_of_other(sources)
    wanted = np.zeros((len(sources), *truth.shape[1:]), np.float32)
    for row, stem in enumerate(STEMS):
        if stem not in sources and len(rest) != 1:
            raise BadInput(f"Sources {', '.join(sources)} cannot be evaluated: none of them is known to hold {stem}.")
        wanted[sources.index(stem if stem in sources else rest[0])] += truth[row]
    return wanted


def _stem_files(folder: Path) -> list[Path]:
    vocals = ("vocals",) if any(folder.glob("vocals.*")) else ("lead_vocals", "backing_vocals")
    names = ("drums", "bass", "other", *vocals)
    return [p for p in sorted(folder.glob("*.*")) if p.stem in names and p.suffix in (".wav", ".flac", ".ogg", ".mp3")]


def _read(path: Path) -> Samples:
    import soundfile
    import soxr

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != RATE:
        samples = soxr.resample(samples, rate, RATE)
    stereo = samples.T if samples.shape[1] == 2 else np.repeat(samples.mean(axis=1)[None], 2, axis=0)
    return np.asarray(stereo, np.float32)


def table(all_trials: Sequence[Trial]) -> str:
    """The trials as a Markdown table of SDR in dB: one row a separator of a song, and its mean over the songs.

    In brackets, of a stem's SDR, the gain over the better of silence and an even share.
    """
    lines = ["| song | separator | " + " | ".join(STEMS) + " | vocals, median second |", "| --- | --- |" + " --: |" * 5]
    songs = list(dict.fromkeys(t.song for t in all_trials))
    for song in [*songs, *(["mean"] if len(songs) > 1 else [])]:
        for separator in dict.fromkeys(t.separator for t in all_trials):
            chosen = [t.score for t in all_trials if t.separator == separator and song in (t.song, "mean")]
            of_stems = [[s for s in chosen if s.source == stem] for stem in STEMS]
            cells = [f"{_mean([s.sdr for s in of])}{_gain([s.gain for s in of])}" for of in of_stems]
            cells.append(_mean([s.second_sdr for s in chosen if s.source == "vocals"]))
            lines.append(f"| {song} | {separator} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def source_table(all_trials: Sequence[Trial]) -> str:
    """Every measure of every separator and source in dB, the mean over the songs, as a Markdown table."""
    names = [field.name for field in fields(SourceScores)][1:]
    lines = ["| separator | source | " + " | ".join(names) + " |", "| --- | --- |" + " --: |" * len(names)]
    for separator, source in dict.fromkeys((t.separator, t.score.source) for t in all_trials):
        chosen = [t.score for t in all_trials if (t.separator, t.score.source) == (separator, source)]
        cells = [_mean([getattr(score, name) for score in chosen]) for name in names]
        lines.append(f"| {separator} | {source} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rows(all_trials: Sequence[Trial]) -> list[dict[str, str | float | None]]:
    """The trials for a program, one row a source: names and dB, None where a measure is not defined."""
    made: list[dict[str, str | float | None]] = []
    for trial in all_trials:
        values = {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(trial.score).items()}
        made.append({"song": trial.song, "separator": trial.separator} | values)
    return made


def _gain(values: Sequence[float]) -> str:
    """The mean gain in brackets, with its sign."""
    known = [value for value in values if not np.isnan(value)]
    return f" ({np.mean(known):+.2f})" if known else ""


def _mean(values: Sequence[float]) -> str:
    """The mean of the values that are known, to two places; nothing where none is."""
    known = [value for value in values if not np.isnan(value)]
    return f"{np.mean(known):.2f}" if known else ""
