"""How varied a band for a whole song is, and how well it keeps to the chords, beside what the song's own band does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.core.progress import UNWATCHED, Watch
from models.generation.chords import chord_tones
from models.generation.evaluation.likelihood import interval
from models.generation.evaluation.metrics import MELODY, repetition
from models.generation.generate import BAND, PlaySettings
from models.generation.network import MusicTransformer
from models.generation.requests import Task
from models.generation.sampling import write_bars
from models.generation.tokenizer import DRUMS, FAMILIES, TICKS, Ints, Piece, cut

LONGEST = 48
"""At most so many bars of each song."""
_FEW = 16
"""A track of fewer notes has no commonest pitch."""


def accompaniments(
    network: MusicTransformer,
    pieces: Sequence[Piece],
    settings: PlaySettings,
    seed: int = 0,
    watch: Watch = UNWATCHED,
) -> dict[str, Any]:
    """Figures of a band written from each song's melody and chords alone, as a remix does, and of the song's own band.

    Means with 95 % bootstrap intervals over the songs that have a melody, chords and a band; null where none has.
    """
    found: dict[str, list[dict[str, float]]] = {"model": [], "real": []}
    write = [FAMILIES.index(name) for name in BAND]
    for i, whole in enumerate(pieces):
        watch.at(i / len(pieces))
        piece = cut(whole, 0, min(whole.bars, LONGEST))
        if not len(piece.chords) or MELODY not in piece.families or not piece.families - {DRUMS, MELODY}:
            continue
        alone = replace(piece, notes=piece.notes[piece.notes[:, 2] == MELODY])
        rng = np.random.default_rng([seed, i])
        band = write_bars(network, Task(alone, 0, piece.bars, write, [MELODY], chords=True), settings.manner, rng)
        for row, notes in (("model", band), ("real", piece.notes[piece.notes[:, 2] != MELODY])):
            found[row].append(variety(notes, piece))
    names = sorted(variety(np.zeros((0, 5), np.int64), _EMPTY))
    return {row: {name: interval([song[name] for song in songs]) for name in names} for row, songs in found.items()}


def variety(notes: Ints, piece: Piece) -> dict[str, float]:
    """Figures of a band's `notes` (rows of `Piece.notes`) in all bars of a piece; NaN where there is nothing to say."""
    pitched = notes[notes[:, 2] != DRUMS]
    classes = [len(set((pitched[pitched[:, 0] == bar, 3] % 12).tolist())) for bar in range(piece.bars)]
    tracks = [pitched[pitched[:, 2] == family] for family in np.unique(pitched[:, 2])]
    commonest = [np.bincount(track[:, 3]).max() / len(track) for track in tracks if len(track) >= _FEW]
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


def longest_run(track: Ints) -> int:
    """The most onsets in a row with exactly the same pitches, in one track's rows of `Piece.notes`."""
    struck: dict[tuple[int, int], set[int]] = {}
    for bar, tick, _, pitch, _ in track.tolist():
        struck.setdefault((bar, tick), set()).add(pitch)
    longest = run = 0
    before: set[int] = set()
    for moment in sorted(struck):
        run = run + 1 if struck[moment] == before else 1
        longest, before = max(longest, run), struck[moment]
    return longest


def in_chord(pitched: Ints, piece: Piece) -> float:
    """The share of notes that are tones of the chord that the piece states there; NaN where it states none."""
    starts = np.concatenate([[0], np.cumsum(piece.bar_beats)]) * TICKS
    changes = starts[piece.chords[:, 0]] + piece.chords[:, 1]
    place = np.searchsorted(changes, starts[pitched[:, 0]] + pitched[:, 1], side="right") - 1
    stated = [(pitch, int(piece.chords[at, 2])) for pitch, at in zip(pitched[:, 3], place, strict=True) if at >= 0]
    inside = [pitch % 12 in chord_tones(chord) for pitch, chord in stated if chord]
    return float(np.mean(inside)) if inside else float("nan")


_EMPTY = Piece(4, 120.0, 0, np.zeros(0, np.int64), np.zeros((0, 5), np.int64), np.zeros((0, 3), np.int64))
