"""Held-out bars as the pipeline hears them: played on instruments and sung, mixed, taken apart and transcribed."""

import numpy as np

from models.example_song.singer import Singer, sing_line
from models.music_transformer import evaluation
from models.music_transformer.evaluation import MELODY, Trial
from models.music_transformer.lattice import Laid, lay, score_of
from models.music_transformer.robustness import Heard
from models.music_transformer.tokens import Ints, Piece
from models.progress import UNWATCHED, Watch
from models.records import Grid, Samples, Score, Track, Wave

RATE = 44_100
LEVELS_DB = {"drums": -20.0, "bass": -22.0, "other": -22.0, "melody": -19.0}
"""How loud each part is in the mix, RMS below full scale."""
_TAIL_S = 1.5


def heard_trials(trials: list[Trial], separator: str = "band-mask", watch: Watch = UNWATCHED) -> list[Heard]:
    """Each trial beside what the pipeline's separator and transcribers write down of its sound, on its own beats."""
    found = []
    for i, trial in enumerate(trials):
        watch.at(i / len(trials))
        score, grid = played(trial.piece)
        written = transcribed(mixed(score, seed=i), separator)
        found.append(Heard(trial, _on_the_lattice(written, grid, trial.piece)))
    return found


def played(piece: Piece) -> tuple[Score, Grid]:
    """A piece at its tempo, in seconds, with the grid that it lies on."""
    starts = np.concatenate([[0], np.cumsum(piece.bar_beats)])
    beats = tuple(float(i * 60 / piece.tempo_bpm) for i in range(int(starts[-1]) + 1))
    key = f"{('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')[-piece.shift % 12]}:maj"
    downbeats = tuple(beats[i] for i in starts)
    grid = Grid(beats, downbeats, piece.tempo_bpm, piece.metre, key, ("N",) * len(beats))
    return score_of(piece.notes, Laid(piece, starts), grid, Score(()), 0.0, beats[-1]), grid


def mixed(score: Score, seed: int) -> Wave:
    """The score as sound: its melody sung, the rest on the General MIDI instruments. Stereo, at most full scale."""
    frames = round((score.end_s + _TAIL_S) * RATE)
    parts: dict[str, list[Samples]] = {}
    for track in score.tracks:
        role = track.name if track.name in LEVELS_DB else "other"
        sung = role == "melody"
        parts.setdefault(role, []).append(
            sing_line(Singer(seed), track.notes, frames) if sung else _struck(track, frames)
        )
    mix = np.zeros((2, frames), np.float32)
    for role, samples in parts.items():
        part = np.sum(samples, axis=0)
        mix += part * np.float32(10 ** (LEVELS_DB[role] / 20) / (np.sqrt(np.mean(part**2)) + 1e-9))
    return Wave(mix / np.float32(max(1.0, np.abs(mix).max())), RATE)


def _struck(track: Track, frames: int) -> Samples:
    from models.rendering import RenderSettings, render

    return np.concatenate(list(render(Score((track,)), frames, RATE, RenderSettings())), axis=1)


def transcribed(song: Wave, separator: str) -> Score:
    """What the pipeline writes down of a song with its default settings: bass, other, melody and drums."""
    from models.demucs.load import load, separator_path
    from models.demucs.split import SplitSettings, split
    from models.pitch import PitchSettings, track_f0
    from models.writing_down import write_down

    network = load(separator_path(separator), "cpu")
    stems = np.concatenate(list(split(song, network, SplitSettings(), 0, "cpu")), axis=2)
    waves = {str(name): Wave(stem, RATE) for name, stem in zip(network.sources, stems, strict=True)}  # type: ignore[arg-type]
    vocals = waves["vocals"]
    pitch = track_f0(vocals, PitchSettings())
    return write_down(waves["drums"], waves["bass"], {"other": waves["other"]}, vocals, pitch)


def _on_the_lattice(score: Score, grid: Grid, piece: Piece) -> Ints:
    """Rows of `Piece.notes` inside the piece's bars."""
    laid, _ = lay(score, grid, grid.beats_s[-1] - 0.01)
    rows = laid.piece.notes - np.array([int(np.searchsorted(laid.starts, 0)), 0, 0, 0, 0])
    return np.asarray(rows[(rows[:, 0] >= 0) & (rows[:, 0] < piece.bars)])


def with_melody(pieces: list[Piece]) -> list[Trial]:
    """The trials of those pieces whose bars have a melody and a band."""
    found = [trial for piece in pieces if (trial := evaluation.trial_of(piece)) is not None]
    return [t for t in found if (t.real[:, 2] == MELODY).sum() >= evaluation.PLAYED and len(t.piece.families) > 1]
