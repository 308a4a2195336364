"""Music as the pipeline hears it: played on instruments and sung, mixed, taken apart and transcribed."""

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
"""How loud each part is in the mix, RMS below full scale."""
_TAIL_S = 1.5
_BARS, _LEAST_NOTES, _LONGEST_S = 24, 64, 100.0
"""What is heard of a song to train on."""


def heard_as(piece: Piece, seed: int, separator: str = "band-mask") -> TranscribedPiece:
    """A piece beside what the pipeline's separator and transcribers write down of its sound, on its own beats."""
    score, grid = played(piece)
    written, chords = transcribed(mixed(score, seed), grid, separator)
    return _on_the_lattice(written, replace(grid, chords=chords), piece)


def hear_songs(entries: list[Entry], count: int, folder: Path) -> list[TranscribedPiece]:
    """Stretches of `count` songs as the pipeline hears them; each is left in `folder`, and heard once."""
    folder.mkdir(exist_ok=True)
    found: list[TranscribedPiece] = []
    for number, piece in _stretches(entries):
        if len(found) == count:
            break
        kept = folder / f"{number:05d}.npz"
        if not kept.exists():
            save_transcribed([heard_as(piece, seed=number)], kept.with_suffix(".part.npz"))
            kept.with_suffix(".part.npz").rename(kept)
        found += load_transcribed(kept)
    return found


def _stretches(entries: list[Entry]) -> Iterator[tuple[int, Piece]]:
    """Numbered stretches of 24 bars: two of POP909 for one of a band, half of them dealt out to an ensemble.

    The same ones every time; what is too empty, or lasts too long, is passed over.
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
            if played(piece)[0].end_s <= _LONGEST_S:
                yield number, piece


def played(piece: Piece) -> tuple[Score, Grid]:
    """A piece at its tempo, in seconds, with the grid that it lies on."""
    starts = np.concatenate([[0], np.cumsum(piece.bar_beats)])
    beats = tuple(float(i * 60 / piece.tempo_bpm) for i in range(int(starts[-1]) + 1))
    key = f"{('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')[-piece.shift % 12]}:maj"
    downbeats = tuple(beats[i] for i in starts)
    grid = Grid(beats, downbeats, piece.tempo_bpm, piece.metre, key, ("N",) * len(beats))
    return dequantize(piece.notes, QuantizedScore(piece, starts), grid, Score(()), 0.0, beats[-1]), grid


def mixed(score: Score, seed: int) -> Wave:
    """The score as sound: its melody sung, the rest on the General MIDI instruments. Stereo, at most full scale."""
    frames = round((score.end_s + _TAIL_S) * RATE)
    parts: dict[str, list[Samples]] = {}
    for track in score.tracks:
        role = track.name if track.name in LEVELS_DB else "other"
        sung = role == "melody"
        parts.setdefault(role, []).append(
            synthesise_line(FormantSinger(seed), track.notes, frames) if sung else _struck(track, frames)
        )
    mix = np.zeros((2, frames), np.float32)
    for role, samples in parts.items():
        part = np.sum(samples, axis=0)
        mix += part * np.float32(10 ** (LEVELS_DB[role] / 20) / (np.sqrt(np.mean(part**2)) + 1e-9))
    return Wave(mix / np.float32(max(1.0, np.abs(mix).max())), RATE)


def _struck(track: Track, frames: int) -> Samples:
    from models.synthesis.settings import RenderSettings
    from models.synthesis.soundfont import render

    return np.concatenate(list(render(Score((track,)), frames, RATE, RenderSettings())), axis=1)


def transcribed(song: Wave, grid: Grid, separator: str) -> tuple[Score, tuple[str, ...]]:
    """What the pipeline writes down of a song with its default settings: bass, other, melody and drums, and chords.

    The beats are those of the grid.
    """
    from models.analysis.analyse import chords_on_grid
    from models.analysis.f0 import track_f0
    from models.analysis.settings import PitchSettings
    from models.separation.checkpoints import load, separator_path
    from models.separation.separate import split
    from models.separation.settings import SplitSettings
    from models.separation.stems import STEMS, four_stems
    from models.transcription.transcribe import transcribe_song

    network = load(separator_path(separator), "cpu")
    parted = np.concatenate(list(split(song, network, SplitSettings(), 0, "cpu")), axis=2)
    stems = four_stems(network.sources, parted)  # type: ignore[arg-type]
    waves = {name: Wave(stem, RATE) for name, stem in zip(STEMS, stems, strict=True)}
    vocals = waves["vocals"]
    pitch = track_f0(vocals, PitchSettings())
    score = transcribe_song(waves["drums"], waves["bass"], {"other": waves["other"]}, vocals, pitch)
    return score, chords_on_grid(grid, waves["bass"], waves["other"])


def _on_the_lattice(score: Score, grid: Grid, piece: Piece) -> TranscribedPiece:
    """The piece, and the score and the grid's chords inside its bars."""
    quantized, _ = quantize(score, grid, grid.beats_s[-1] - 0.01)
    first = int(np.searchsorted(quantized.bar_starts, 0))
    said = slice_bars(quantized.piece, first, first + piece.bars)
    return TranscribedPiece(piece, said.notes, said.chords)


def with_melody(pieces: list[Piece]) -> list[Excerpt]:
    """The trials of those pieces whose bars have a melody and a band."""
    found = [trial for piece in pieces if (trial := continuation.excerpt_at(piece)) is not None]
    return [t for t in found if (t.real[:, 2] == MELODY).sum() >= continuation.NEW_BARS and len(t.piece.families) > 1]
