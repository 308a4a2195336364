"""How well separators do on songs whose stems are known: `python -m flows.evaluate_separation FOLDER --separator NAME`.

A folder is one song in MUSDB's layout (drums, bass, other and vocals as sound files; lead_vocals and backing_vocals may
stand for vocals, and a stem that is not there is silent), or holds such folders. Every table has the baselines: an even
share of the mix and the ideal ratio mask.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.errors import BadInput
from models.records import Samples, Wave
from models.separation_scores import SourceScores, even_shares, ideal_ratio_masks, scores

STEMS = ("drums", "bass", "other", "vocals")
RATE = 44100
BASELINES = ("even share", "ideal ratio mask")


@dataclass(frozen=True)
class Trial:
    """One separator's score of one source of one song."""

    song: str
    separator: str
    score: SourceScores


def evaluate_separation(
    songs: Sequence[Path], separators: Sequence[str], bss_eval: bool = False, device: str = "cpu"
) -> Iterator[Trial]:
    """Score the baselines and each separator on each song; yields a trial as soon as it is known.

    `bss_eval` adds BSS Eval v4, about a minute for each minute of music. Raises `BadInput` for a folder without stems
    and an unknown or unusable separator.
    """
    for folder in (f for song in songs for f in song_folders(song)):
        truth = true_stems(folder)
        for name in BASELINES:
            estimate = even_shares(truth.sum(axis=0), 4) if name == BASELINES[0] else ideal_ratio_masks(truth)
            for score in scores(STEMS, truth, estimate, RATE, bss_eval):
                yield Trial(folder.name, name, score)
        for name in separators:
            sources, estimate = separated(name, truth.sum(axis=0), device)
            for score in scores(sources, expected(truth, sources), estimate, RATE, bss_eval):
                yield Trial(folder.name, name, score)


def song_folders(folder: Path) -> list[Path]:
    """The folder itself where it holds stems, else those of its folders that do."""
    found = [f for f in (folder, *sorted(p for p in folder.glob("*") if p.is_dir())) if _stem_files(f)]
    if not found:
        raise BadInput(f"There are no stems in {folder}: it needs drums, bass, other and vocals as sound files.")
    return found[:1] if found[0] == folder else found


def true_stems(folder: Path) -> Samples:
    """The stems of a song at 44.1 kHz in stereo. Shape: (4, 2, frames)."""
    waves = {path.stem: _read(path) for path in _stem_files(folder)}
    frames = max(wave.shape[1] for wave in waves.values())
    truth = np.zeros((4, 2, frames), np.float32)
    for name, wave in waves.items():
        row = STEMS.index(name) if name in STEMS else STEMS.index("vocals")
        truth[row, :, : wave.shape[1]] += wave
    return truth


def separated(separator: str, mix: Samples, device: str) -> tuple[list[str], Samples]:
    """What a separator makes of a mix: its sources' names and their waves, (sources, 2, frames)."""
    from models.demucs.load import load, separator_path
    from models.demucs.split import SplitSettings, split

    network = load(separator_path(separator), device)
    blocks = list(split(Wave(mix, RATE), network, SplitSettings(), 0, device))
    return list(network.sources), np.concatenate(blocks, axis=2)  # type: ignore[arg-type]


def expected(truth: Samples, sources: Sequence[str]) -> Samples:
    """The truth in a separator's own sources: stems it does not part belong to its `other`. Shape as its estimate."""
    wanted = np.zeros((len(sources), *truth.shape[1:]), np.float32)
    for row, stem in enumerate(STEMS):
        wanted[sources.index(stem if stem in sources else "other")] += truth[row]
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


def table(trials: Sequence[Trial]) -> str:
    """The trials as a Markdown table of SDR in dB, one row a separator of a song."""
    lines = ["| song | separator | " + " | ".join(STEMS) + " | vocals, median second |", "| --- | --- |" + " --: |" * 5]
    for song, separator in dict.fromkeys((t.song, t.separator) for t in trials):
        found = {t.score.source: t.score for t in trials if (t.song, t.separator) == (song, separator)}
        cells = [f"{found[s].sdr:.2f}" if s in found else "" for s in STEMS]
        cells.append(f"{found['vocals'].second_sdr:.2f}" if "vocals" in found else "")
        lines.append(f"| {song} | {separator} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("song", type=Path, nargs="+", help="folder with a song's true stems, or a folder of such")
    parser.add_argument("--separator", action="append", default=[], help="name or file; may be given again")
    parser.add_argument("--bss-eval", action="store_true", help="BSS Eval v4 as well (slow)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    done = list(evaluate_separation(a.song, a.separator or ["band-mask"], a.bss_eval, a.device))
    print(json.dumps([asdict(t) for t in done], indent=1) if a.json else table(done))
