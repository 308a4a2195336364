"""Evaluation of continuations and accompaniments against the song's own bars and simple baselines.

Each held-out song gives up to three 8-bar prompts and the 16 bars that follow each. The rows: `model`, `real` (the
song's own bars: the reference), `markov`, `repeat` (the prompt again), `other_song` (another song's bars, transposed).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.core.dtypes import IntArray
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.generation.evaluation.likelihood import bootstrap_ci, event_probabilities
from models.generation.evaluation.markov import Markov
from models.generation.evaluation.metrics import MELODY, chord_tone, groove, histogram_overlap, in_key, repetition
from models.generation.network import MusicTransformer
from models.generation.requests import Request
from models.generation.sampling import generate_bars
from models.generation.settings import GenerateSettings
from models.generation.tokenizer import DRUMS, TICKS, Piece, slice_bars

PROMPT_BARS, NEW_BARS = 8, 16
"""Bars of the prompt and bars generated after it."""
MAX_EXCERPTS = 3
"""Excerpts of one song at most; its metrics are their means."""
ROWS = ("model", "real", "markov", "repeat", "other_song")
NOTE_METRICS = (
    "in_key",
    "pitch_overlap",
    "groove",
    "onset_overlap",
    "self_repetition",
    "verbatim",
    "chord_tone",
)
METRICS = ("nats_per_note", "nats_per_note_with_memory", *NOTE_METRICS)


@dataclass(frozen=True)
class Excerpt:
    """One song's prompt and what follows it, in bars 0..PROMPT_BARS + NEW_BARS of `piece`."""

    piece: Piece

    @property
    def prompt(self) -> IntArray:
        return self.piece.notes[self.piece.notes[:, 0] < PROMPT_BARS]

    @property
    def real(self) -> IntArray:
        return self.piece.notes[self.piece.notes[:, 0] >= PROMPT_BARS]


def excerpt_at(piece: Piece, start: int | None = None) -> Excerpt | None:
    """The excerpt from bar `start` on, or a quarter into the song; None where it is too short or too sparse."""
    start = max((piece.bars - PROMPT_BARS - NEW_BARS) // 4, 0) if start is None else start
    part = slice_bars(piece, start, start + PROMPT_BARS + NEW_BARS)
    excerpt = Excerpt(part)
    full = part.bars == PROMPT_BARS + NEW_BARS
    return excerpt if full and len(excerpt.prompt) >= 2 * PROMPT_BARS and len(excerpt.real) >= 2 * NEW_BARS else None


def excerpts_of(piece: Piece, most: int = MAX_EXCERPTS) -> list[Excerpt]:
    """As many non-overlapping excerpts as a song has room for, evenly spread, without the sparse ones."""
    count = min(most, piece.bars // (PROMPT_BARS + NEW_BARS))
    starts = [((2 * k + 1) * piece.bars // count - PROMPT_BARS - NEW_BARS) // 2 for k in range(count)]
    excerpts = [excerpt_at(piece, start) for start in starts]
    return [excerpt for excerpt in excerpts if excerpt is not None]


def continuation_metrics(excerpt: Excerpt, notes: IntArray, band: IntArray | None) -> dict[str, float]:
    """Metrics of one continuation `notes` (bars PROMPT_BARS on) and one accompaniment `band` of the same bars."""
    piece, prompt = excerpt.piece, excerpt.prompt
    pitches = [n[n[:, 2] != DRUMS, 3] % 12 for n in (notes, prompt)]
    similar, identical = repetition(np.concatenate([prompt, notes]), PROMPT_BARS, NEW_BARS)
    melody = excerpt.real[excerpt.real[:, 2] == MELODY]
    return {
        "in_key": in_key(notes, piece.shift),
        "pitch_overlap": histogram_overlap(pitches[0], pitches[1], 12),
        "groove": groove(notes, PROMPT_BARS, NEW_BARS, piece.metre * TICKS),
        "onset_overlap": histogram_overlap(notes[:, 1], prompt[:, 1], 200),
        "self_repetition": similar,
        "verbatim": identical,
        "chord_tone": float("nan") if band is None else chord_tone(melody, band, piece.bar_beats),
    }


@dataclass(frozen=True)
class SongResult:
    """One song's metrics by row (NaN where undefined), gains in nats a note, and processor seconds."""

    rows: dict[str, dict[str, float]]
    prompt_gain: float
    melody_gain: float
    seconds: float


def summarize(songs: Sequence[SongResult]) -> dict[str, Any]:
    """Rows of means with 95 % bootstrap intervals over songs, gains, speed; null where no song has a value.

    `prompt_gain` and `melody_gain` are nats a note, `seconds_16_bars` processor seconds of one thread.
    """

    def figure(row: str, name: str) -> dict[str, float | None]:
        return bootstrap_ci([song.rows[row].get(name, float("nan")) for song in songs])

    return {
        "rows": {row: {name: figure(row, name) for name in METRICS} for row in ROWS},
        "prompt_gain": bootstrap_ci([song.prompt_gain for song in songs]),
        "melody_gain": bootstrap_ci([song.melody_gain for song in songs]),
        "seconds_16_bars": float(np.median([song.seconds for song in songs])),
        "songs": len(songs),
    }


def evaluate_songs(
    network: MusicTransformer,
    held: Sequence[Piece],
    train: Sequence[Piece],
    settings: GenerateSettings,
    seed: int = 0,
    watch: Watch = UNWATCHED,
) -> list[SongResult]:
    """The result of every song that is long enough for an excerpt.

    `train` trains the Markov row; where it is empty each held-out song is scored by a Markov model of the others.
    Raises `BadInput` for fewer than two such songs.
    """
    songs = [(piece, excerpts) for piece in held if (excerpts := excerpts_of(piece))]
    if len(songs) < 2:
        raise BadInput(
            f"The evaluation needs at least two songs of {PROMPT_BARS + NEW_BARS} bars; there are {len(songs)}."
        )
    markov = Markov()
    for piece in train or [piece for piece, _ in songs]:
        markov.learn(piece)
    results = []
    for i, (piece, excerpts) in enumerate(songs):
        watch.at(i / len(songs))
        others = songs[(i + 1) % len(songs)][1]
        if not train:
            markov.learn(piece, -1)
        rng = np.random.default_rng([seed, i])
        by_excerpt = [
            _evaluate_excerpt(network, excerpt, others[k % len(others)], settings, markov, rng)
            for k, excerpt in enumerate(excerpts)
        ]
        results.append(_song_result(network, piece, by_excerpt, markov))
        if not train:
            markov.learn(piece)
    return results


def _song_result(
    network: MusicTransformer, piece: Piece, by_excerpt: Sequence[SongResult], markov: Markov
) -> SongResult:
    """The means over a song's excerpts, with likelihoods of the whole song."""
    rows = {row: {name: _mean([t.rows[row][name] for t in by_excerpt]) for name in NOTE_METRICS} for row in ROWS}
    likelihood, config = event_probabilities(network, piece, piece.families), network.config
    rows["model"]["nats_per_note"] = likelihood.nats_per_note()
    rows["model"]["nats_per_note_with_memory"] = likelihood.nats_per_note(config.event_trust, config.length_trust)
    rows["markov"]["nats_per_note"] = markov.nats_per_note(piece)
    prompt, melody = _mean([t.prompt_gain for t in by_excerpt]), _mean([t.melody_gain for t in by_excerpt])
    return SongResult(rows, prompt, melody, _mean([t.seconds for t in by_excerpt]))


def _evaluate_excerpt(
    network: MusicTransformer,
    excerpt: Excerpt,
    other: Excerpt,
    settings: GenerateSettings,
    markov: Markov,
    rng: np.random.Generator,
) -> SongResult:
    """The result of one excerpt, without likelihoods."""
    started = time.process_time()
    generated = _generate_continuation(network, excerpt, settings, rng)
    seconds = time.process_time() - started
    rows = _rows(excerpt, other, generated, _generate_band(network, excerpt, settings, rng), markov, rng)
    return SongResult(rows, prompt_gain(network, excerpt), melody_gain(network, excerpt, other), seconds)


def _mean(values: Sequence[float]) -> float:
    """The mean without NaNs; NaN of nothing."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def _rows(
    excerpt: Excerpt,
    other: Excerpt,
    generated: IntArray,
    band: IntArray | None,
    markov: Markov,
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """The metrics of each row for one excerpt."""
    repeated = np.concatenate([excerpt.prompt + np.array([PROMPT_BARS * k, 0, 0, 0, 0]) for k in (1, 2)])
    other_song = _transposed(other.real, other.piece.shift - excerpt.piece.shift)
    other_song = other_song[other_song[:, 1] < excerpt.piece.metre * TICKS]
    markov_notes = markov.write(excerpt.piece, PROMPT_BARS, PROMPT_BARS + NEW_BARS, excerpt.piece.families, rng)
    has_melody = band is not None
    metrics: dict[str, Callable[[], dict[str, float]]] = {
        "model": lambda: continuation_metrics(excerpt, generated, band),
        "real": lambda: continuation_metrics(excerpt, excerpt.real, excerpt.real if has_melody else None),
        "markov": lambda: continuation_metrics(excerpt, markov_notes, markov_notes if has_melody else None),
        "repeat": lambda: continuation_metrics(excerpt, repeated, repeated if has_melody else None),
        "other_song": lambda: continuation_metrics(excerpt, other_song, other_song if has_melody else None),
    }
    return {row: compute() for row, compute in metrics.items()}


def _transposed(notes: IntArray, semitones: int) -> IntArray:
    steps = (semitones + 6) % 12 - 6
    return notes + np.outer(notes[:, 2] != DRUMS, [0, 0, 0, steps, 0])


def _generate_continuation(
    network: MusicTransformer, excerpt: Excerpt, settings: GenerateSettings, rng: np.random.Generator
) -> IntArray:
    piece = replace(excerpt.piece, notes=excerpt.prompt)
    return generate_bars(
        network, Request(piece, PROMPT_BARS, piece.bars, excerpt.piece.families), settings.sampling, rng
    )


def _generate_band(
    network: MusicTransformer, excerpt: Excerpt, settings: GenerateSettings, rng: np.random.Generator
) -> IntArray | None:
    """The band of the bars after the prompt, from their melody and chords; None where the song has no melody there."""
    others = excerpt.piece.families - {MELODY}
    if not others or (excerpt.real[:, 2] == MELODY).sum() < NEW_BARS:
        return None
    context = excerpt.piece.notes[(excerpt.piece.notes[:, 0] < PROMPT_BARS) | (excerpt.piece.notes[:, 2] == MELODY)]
    piece = replace(excerpt.piece, notes=context)
    return generate_bars(
        network, Request(piece, PROMPT_BARS, piece.bars, others, [MELODY], True), settings.sampling, rng
    )


def prompt_gain(network: MusicTransformer, excerpt: Excerpt) -> float:
    """Nats a note of the 16 bars that conditioning on the 8 bars before them saves."""
    piece = excerpt.piece
    alone = event_probabilities(network, slice_bars(piece, PROMPT_BARS, piece.bars), piece.families)
    return (
        alone.nats_per_note() - event_probabilities(network, piece, piece.families, start=PROMPT_BARS).nats_per_note()
    )


def melody_gain(
    network: MusicTransformer, excerpt: Excerpt, other: Excerpt, transcribed: IntArray | None = None
) -> float:
    """Nats a note of the band that the right melody saves against another song's in the same key, without chords.

    `transcribed` is a transcription in place of the right melody.
    """
    piece, others = excerpt.piece, excerpt.piece.families - {MELODY}
    other_melody = other.piece.notes[other.piece.notes[:, 2] == MELODY]
    other_melody = _transposed(other_melody, other.piece.shift - piece.shift)
    other_melody = other_melody[other_melody[:, 1] < piece.metre * TICKS]
    own = (piece.notes[:, 2] == MELODY).sum()
    if not others or own < NEW_BARS or len(other_melody) < NEW_BARS:
        return float("nan")
    band = piece.notes[piece.notes[:, 2] != MELODY]
    melodies = (piece.notes[piece.notes[:, 2] == MELODY] if transcribed is None else transcribed, other_melody)
    right, wrong = (
        event_probabilities(
            network, replace(piece, notes=np.concatenate([band, melody])), others, [MELODY]
        ).nats_per_note()
        for melody in melodies
    )
    return wrong - right
