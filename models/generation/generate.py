"""Generation on scores in seconds: `extend` continues a song, `accompany` generates a band for its melody."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.core.device import to_device
from models.core.dtypes import IntArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Grid, Score, Track
from models.generation.quantize import active_families, dequantize, drop_silent_bars, quantize, repeat_chords
from models.generation.requests import Request
from models.generation.settings import GenerateSettings, SamplingParams
from models.generation.tokenizer import FAMILIES, Piece
from models.symbolic.beat_map import beats_to_seconds, extend_grid, seconds_to_beats

if TYPE_CHECKING:
    from models.generation.network import MusicTransformer

DEFAULT_BAND = ("drums", "bass", "piano", "guitar", "strings")
"""The families generated where the prompt has none."""
JOIN_BARS = 8
"""For so many bars before the continuation its new families are generated too, as context that does not sound."""
EMPTY_SCORE = Score(())


@dataclass(frozen=True)
class Sampler:
    """A network and how to sample from it.

    `device` is named as in torch; the same seed gives the same notes on the same machine. `watch` reports progress.
    """

    network: "MusicTransformer"
    settings: GenerateSettings
    seed: int
    device: str
    watch: Watch = UNWATCHED


def extend(score: Score, grid: Grid, start_s: float, bars: int, sampler: Sampler, transcribed: bool = False) -> Score:
    """The continuation of `score` in the `bars` bars from `start_s` on: the new notes alone, on its tracks.

    `grid` already carries the beats of the new bars (`models.symbolic.beat_map.extend_grid`). The prompt is what begins
    before `start_s` seconds; where that is empty, a band is generated from the key, the tempo and the song's last
    chords. Tracks asked for that the prompt does not have join it. `transcribed`: the prompt comes from a transcription
    and may have its errors. Onsets lie in [start_s, end of the last bar].
    """
    if bars <= 0:
        return EMPTY_SCORE
    end_s = float(beats_to_seconds(grid, np.round(seconds_to_beats(grid, start_s)) + bars * grid.metre))
    quantized, first = quantize(score, grid, end_s, start_s)
    playing = active_families(quantized.piece, first)
    families = sampler.settings.families(playing or [FAMILIES.index(name) for name in DEFAULT_BAND])
    piece = quantized.piece if playing else repeat_chords(quantized.piece, first)
    piece, gap = drop_silent_bars(piece, first)
    network, rng = to_device(sampler.network, sampler.device), np.random.default_rng(sampler.seed)
    missing = [family for family in families if family not in playing] if playing else []
    params = sampler.settings.sampling
    if missing:
        start = max(first - gap - JOIN_BARS, 0)
        joining = Request(piece, start, first - gap, missing, playing, chords=len(piece.chords) > 0)
        rows = _generate(network, joining, params, rng)
        piece = replace(piece, notes=np.concatenate([piece.notes, rows]))
    if transcribed and playing:
        piece = replace(piece, transcribed_bars=first - gap)
    request = Request(piece, first - gap, piece.bars, families, chords=not playing and len(piece.chords) > 0)
    rows = _generate(network, request, params, rng, sampler.watch)
    return dequantize(rows + np.array([gap, 0, 0, 0, 0]), quantized, grid, score, start_s, end_s)


def _generate(
    network: "MusicTransformer",
    request: Request,
    params: SamplingParams,
    rng: np.random.Generator,
    watch: Watch = UNWATCHED,
) -> IntArray:
    """`sampling.generate_bars`, imported with torch only where something is generated."""
    from models.generation.sampling import generate_bars

    return generate_bars(network, request, params, rng, watch)


def accompany(melody: Track | None, grid: Grid, end_s: float, sampler: Sampler, keep: Score = EMPTY_SCORE) -> Score:
    """A band for the whole song, 0 to `end_s` seconds, conditioned on its melody (if it has one), chords and key.

    Bar by bar the network reads the melody, the chords and the tracks to `keep`, then writes the other families.
    Returns the new tracks alone.
    """
    melody_tracks = () if melody is None else (Track("melody", melody.program, False, melody.notes),)
    quantized, _ = quantize(Score(melody_tracks + keep.tracks), grid, end_s)
    piece = quantized.piece
    given = sorted(piece.families)
    others = [FAMILIES.index(name) for name in DEFAULT_BAND if FAMILIES.index(name) not in given]
    families = [f for f in sampler.settings.families(others) if f not in given]
    if not families or end_s <= 0:
        return EMPTY_SCORE
    request = Request(piece, 0, piece.bars, families, given, chords=len(piece.chords) > 0)
    network, rng = to_device(sampler.network, sampler.device), np.random.default_rng(sampler.seed)
    rows = _generate(network, request, sampler.settings.sampling, rng, sampler.watch)
    return dequantize(rows, quantized, grid, keep, 0.0, end_s)


def sparse_input_warnings(score: Score, grid: Grid, end_s: float, accompanied: bool) -> tuple[str, ...]:
    """Sentences for a report where the transcription of a song of `end_s` seconds has too few notes to condition on.

    `accompanied`: a band was generated for the melody (and continued); else the song's own score was continued.
    """
    known = [chord for chord in grid.chords if chord not in ("", "N", "X")]
    remaining = "key, tempo and chords" if known else "key and tempo"
    if accompanied:
        melody = score.track("melody")
        bars = float(seconds_to_beats(grid, end_s)) / grid.metre
        if melody is None or len(melody.notes) < bars / 4:
            return (f"Almost no melody was transcribed; the new band was generated from the song's {remaining} alone.",)
    elif not active_families(*_quantized_with_next_bar(score, grid, end_s)):
        return (f"Almost no notes were transcribed; the song was continued from its {remaining} alone.",)
    return ()


def _quantized_with_next_bar(score: Score, grid: Grid, end_s: float) -> tuple[Piece, int]:
    longer, start_s, stop_s = extend_grid(grid, end_s, 1)
    quantized, first = quantize(score, longer, stop_s, start_s)
    return quantized.piece, first
