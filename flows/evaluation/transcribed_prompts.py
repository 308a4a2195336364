"""Transcribed prompts: pieces rendered and sung, mixed, separated and transcribed by the pipeline."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.core.types import Grid, Samples, Score, Track, Wave
from models.generation.evaluation import continuation
from models.generation.evaluation.continuation import Excerpt
from models.generation.evaluation.metrics import MELODY
from models.generation.quantize import QuantizedScore, dequantize, quantize
from models.generation.tokenizer import Piece, slice_bars
from models.generation.training.corpus import BANDS, Entry
from models.generation.training.transcription_noise import TranscribedPiece, load_transcribed, save_transcribed
from models.generation.training.windows import Augmentation, Windows
from models.synthesis.example_song.singer import FormantSinger, synthesise_line

RATE = 44_100
LEVELS_DB = {"drums": -20.0, "bass": -22.0, "other": -22.0, "melody": -19.0}
"""Level of each part in the mix, RMS below full scale."""
_TAIL_S = 1.5
_BARS, _LEAST_NOTES, _LONGEST_S = 24, 64, 100.0
"""An excerpt of a training song: bars, fewest notes, longest duration."""


def transcribed_piece(piece: Piece, seed: int, separator: str = "band-mask") -> TranscribedPiece:
    """A piece and the transcription of its rendering by the pipeline's separator and transcribers, on its beats."""
    score, grid = score_and_grid(piece)
    estimate, chords = transcribed(mixed(score, seed), grid, separator)
    return _quantized(estimate, replace(grid, chords=chords), piece)


def transcribe_songs(entries: list[Entry], count: int, folder: Path) -> list[TranscribedPiece]:
    """Excerpts of `count` songs with their transcriptions; each is kept in `folder`, and transcribed once."""
    folder.mkdir(exist_ok=True)
    pieces: list[TranscribedPiece] = []
    for number, piece in _excerpts(entries):
        if len(pieces) == count:
            break
        path = folder / f"{number:05d}.npz"
        if not path.exists():
            save_transcribed([transcribed_piece(piece, seed=number)], path.with_suffix(".part.npz"))
            path.with_suffix(".part.npz").rename(path)
        pieces += load_transcribed(path)
    return pieces


def _excerpts(entries: list[Entry]) -> Iterator[tuple[int, Piece]]:
    """Numbered excerpts of 24 bars: two of POP909 for one of a band, half of the former orchestrated for an ensemble.

    The same ones every time; those with too few notes, or too long, are skipped.
    """
    rng, windows = np.random.default_rng(5), Windows(entries, Augmentation(), 0)
    piano = [e.piece for e in entries if e.source == "pop909" and "-v" not in e.name]
    bands = [e.piece for e in entries if e.source in BANDS]
    pianos, others = (iter([pool[i] for i in rng.permutation(len(pool))]) for pool in (piano, bands))
    for number in range(3 * len(piano)):
        band = number % 3 == 2
        whole = next(others if band else pianos, None)
        if whole is None or whole.bars < _BARS:
            continue
        draw, windows.rng = np.random.default_rng([9, number]), np.random.default_rng([10, number])
        start = int(draw.integers(0, whole.bars - _BARS + 1))
        piece = slice_bars(whole, start, start + _BARS)
        if len(piece.notes) >= _LEAST_NOTES and len(piece.families) > 1:
            piece = windows.orchestrate(piece) if not band and draw.random() < 0.5 else piece
            if score_and_grid(piece)[0].end_s <= _LONGEST_S:
                yield number, piece


def score_and_grid(piece: Piece) -> tuple[Score, Grid]:
    """A piece at its tempo, in seconds, with its grid."""
    starts = np.concatenate([[0], np.cumsum(piece.bar_beats)])
    beats = tuple(float(i * 60 / piece.tempo_bpm) for i in range(int(starts[-1]) + 1))
    key = f"{('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')[-piece.shift % 12]}:maj"
    downbeats = tuple(beats[i] for i in starts)
    grid = Grid(beats, downbeats, piece.tempo_bpm, piece.metre, key, ("N",) * len(beats))
    return dequantize(piece.notes, QuantizedScore(piece, starts), grid, Score(()), 0.0, beats[-1]), grid


def mixed(score: Score, seed: int) -> Wave:
    """The score rendered: its melody sung, the rest on General MIDI instruments. Stereo, at most full scale."""
    frames = round((score.end_s + _TAIL_S) * RATE)
    parts: dict[str, list[Samples]] = {}
    for track in score.tracks:
        role = track.name if track.name in LEVELS_DB else "other"
        sung = role == "melody"
        parts.setdefault(role, []).append(
            synthesise_line(FormantSinger(seed), track.notes, frames) if sung else _rendered(track, frames)
        )
    mix = np.zeros((2, frames), np.float32)
    for role, samples in parts.items():
        part = np.sum(samples, axis=0)
        mix += part * np.float32(10 ** (LEVELS_DB[role] / 20) / (np.sqrt(np.mean(part**2)) + 1e-9))
    return Wave(mix / np.float32(max(1.0, np.abs(mix).max())), RATE)


def _rendered(track: Track, frames: int) -> Samples:
    from models.synthesis.settings import RenderSettings
    from models.synthesis.soundfont import render

    return np.concatenate(list(render(Score((track,)), frames, RATE, RenderSettings())), axis=1)


def transcribed(song: Wave, grid: Grid, separator: str) -> tuple[Score, tuple[str, ...]]:
    """The pipeline's transcription of a song with default settings: bass, other, melody and drums, and chords.

    The beats are those of the grid.
    """
    from models.analysis.analyse import chords_on_grid
    from models.analysis.f0 import track_f0
    from models.analysis.settings import F0Settings
    from models.separation.checkpoints import load, separator_path
    from models.separation.separate import split
    from models.separation.settings import SeparateSettings
    from models.separation.stems import STEMS, four_stems
    from models.transcription.transcribe import transcribe_song

    network = load(separator_path(separator), "cpu")
    separated = np.concatenate(list(split(song, network, SeparateSettings(), 0, "cpu")), axis=2)
    stems = four_stems(network.sources, separated)  # type: ignore[arg-type]
    waves = {name: Wave(stem, RATE) for name, stem in zip(STEMS, stems, strict=True)}
    vocals = waves["vocals"]
    pitch = track_f0(vocals, F0Settings())
    score = transcribe_song(waves["drums"], waves["bass"], {"other": waves["other"]}, vocals, pitch)
    return score, chords_on_grid(grid, waves["bass"], waves["other"])


def _quantized(score: Score, grid: Grid, piece: Piece) -> TranscribedPiece:
    """The piece, and the score and the grid's chords inside its bars."""
    quantized, _ = quantize(score, grid, grid.beats_s[-1] - 0.01)
    first = int(np.searchsorted(quantized.bar_starts, 0))
    transcription = slice_bars(quantized.piece, first, first + piece.bars)
    return TranscribedPiece(piece, transcription.notes, transcription.chords)


def with_melody(pieces: list[Piece]) -> list[Excerpt]:
    """Excerpts of those pieces whose bars have a melody and a band."""
    excerpts = [one for piece in pieces if (one := continuation.excerpt_at(piece)) is not None]
    with_line = [one for one in excerpts if (one.real[:, 2] == MELODY).sum() >= continuation.NEW_BARS]
    return [one for one in with_line if len(one.piece.families) > 1]
