"""Metrics of generated bands for whole songs: density, repetition and chord tones, beside the song's own band."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.core.dtypes import IntArray
from models.core.progress import UNWATCHED, Watch
from models.generation.chords import chord_tones
from models.generation.evaluation.likelihood import bootstrap_ci
from models.generation.evaluation.metrics import MELODY, repetition
from models.generation.generate import DEFAULT_BAND
from models.generation.network import MusicTransformer
from models.generation.requests import Request
from models.generation.sampling import generate_bars
from models.generation.settings import GenerateSettings
from models.generation.tokenizer import DRUMS, FAMILIES, TICKS, Piece, slice_bars

MAX_BARS = 48
"""Of each song at most so many bars are evaluated."""
_MIN_TRACK_NOTES = 16
"""The commonest pitch is measured in tracks of at least so many notes."""


def evaluate_accompaniments(
    network: MusicTransformer,
    pieces: Sequence[Piece],
    settings: GenerateSettings,
    seed: int = 0,
    watch: Watch = UNWATCHED,
) -> dict[str, Any]:
    """Metrics of a band generated from each song's melody and chords alone, and of the song's own band.

    Means with 95 % bootstrap intervals over the songs that have a melody, chords and a band; null where none has.
    """
    results: dict[str, list[dict[str, float]]] = {"model": [], "real": []}
    write = [FAMILIES.index(name) for name in DEFAULT_BAND]
    for i, whole in enumerate(pieces):
        watch.at(i / len(pieces))
        piece = slice_bars(whole, 0, min(whole.bars, MAX_BARS))
        if not len(piece.chords) or MELODY not in piece.families or not piece.families - {DRUMS, MELODY}:
            continue
        melody_only = replace(piece, notes=piece.notes[piece.notes[:, 2] == MELODY])
        rng = np.random.default_rng([seed, i])
        band = generate_bars(
            network, Request(melody_only, 0, piece.bars, write, [MELODY], chords=True), settings.sampling, rng
        )
        for row, notes in (("model", band), ("real", piece.notes[piece.notes[:, 2] != MELODY])):
            results[row].append(band_metrics(notes, piece))
    names = sorted(band_metrics(np.zeros((0, 5), np.int64), _EMPTY))
    return {
        row: {name: bootstrap_ci([song[name] for song in songs]) for name in names} for row, songs in results.items()
    }


def band_metrics(notes: IntArray, piece: Piece) -> dict[str, float]:
    """Metrics of a band's `notes` (rows of `Piece.notes`) in all bars of a piece; NaN where undefined."""
    pitched = notes[notes[:, 2] != DRUMS]
    classes = [len(set((pitched[pitched[:, 0] == bar, 3] % 12).tolist())) for bar in range(piece.bars)]
    tracks = [pitched[pitched[:, 2] == family] for family in np.unique(pitched[:, 2])]
    commonest = [np.bincount(track[:, 3]).max() / len(track) for track in tracks if len(track) >= _MIN_TRACK_NOTES]
    alike, same = repetition(notes, 0, piece.bars) if len(notes) else (float("nan"), float("nan"))
    return {
        "notes_a_bar": len(pitched) / max(piece.bars, 1),
        "pitch_classes_a_bar": float(np.mean(classes)) if classes else float("nan"),
        "longest_run": float(max(map(longest_run, tracks), default=0)),
        "commonest_pitch": float(max(commonest, default=float("nan"))),
        "in_chord": in_chord(pitched, piece),
        "self_repetition": alike,
        "verbatim": same,
    }


def longest_run(track: IntArray) -> int:
    """The largest number of consecutive onsets with exactly the same pitches, in one track's rows of `Piece.notes`."""
    pitches_at: dict[tuple[int, int], set[int]] = {}
    for bar, tick, _, pitch, _ in track.tolist():
        pitches_at.setdefault((bar, tick), set()).add(pitch)
    longest = run = 0
    previous: set[int] = set()
    for onset in sorted(pitches_at):
        run = run + 1 if pitches_at[onset] == previous else 1
        longest, previous = max(longest, run), pitches_at[onset]
    return longest


def in_chord(pitched: IntArray, piece: Piece) -> float:
    """The share of notes that are tones of the piece's chord at their onset; NaN where it has no chords."""
    starts = np.concatenate([[0], np.cumsum(piece.bar_beats)]) * TICKS
    changes = starts[piece.chords[:, 0]] + piece.chords[:, 1]
    place = np.searchsorted(changes, starts[pitched[:, 0]] + pitched[:, 1], side="right") - 1
    stated = [(pitch, int(piece.chords[at, 2])) for pitch, at in zip(pitched[:, 3], place, strict=True) if at >= 0]
    inside = [pitch % 12 in chord_tones(chord) for pitch, chord in stated if chord]
    return float(np.mean(inside)) if inside else float("nan")


_EMPTY = Piece(4, 120.0, 0, np.zeros(0, np.int64), np.zeros((0, 5), np.int64), np.zeros((0, 3), np.int64))
