"""Robustness of continuation and accompaniment to transcription and beat errors in what they are conditioned on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.core.dtypes import IntArray
from models.core.progress import UNWATCHED, Watch
from models.generation.evaluation import continuation
from models.generation.evaluation.continuation import PROMPT_BARS, Excerpt
from models.generation.evaluation.likelihood import bootstrap_ci, event_probabilities
from models.generation.evaluation.metrics import MELODY, histogram_overlap, in_key
from models.generation.network import MusicTransformer
from models.generation.requests import Request
from models.generation.sampling import generate_bars
from models.generation.settings import GenerateSettings
from models.generation.tokenizer import DRUMS, TICKS, Piece, slice_bars
from models.generation.training.transcription_noise import TranscribedPiece

BEAT_ERRORS = ("half_tempo", "double_tempo", "late_downbeat")


def evaluate_robustness(
    network: MusicTransformer,
    songs: Sequence[TranscribedPiece],
    settings: GenerateSettings,
    seed: int = 0,
    watch: Watch = UNWATCHED,
) -> dict[str, Any]:
    """Gains from clean and transcribed prompts and melodies, and metrics of the bars generated after each prompt.

    `prompt_gain` and `melody_gain` (nats a note, each `clean` and `transcribed`) are measured on the true continuation
    and band; `kept` is the share of the clean gain that is left. `in_key` and `pitch_overlap` are those of the bars
    generated after the clean prompt, the transcribed one, and the clean one under each of `BEAT_ERRORS`.
    """
    rows: list[dict[str, float]] = []
    for i, song in enumerate(songs):
        watch.at(i / len(songs))
        other = Excerpt(songs[(i + 1) % len(songs)].piece)
        rows.append(_gains(network, song, other) | _generated_metrics(network, song, settings, [seed, i]))
    summary = {name: bootstrap_ci([row[name] for row in rows]) for name in rows[0]}
    for gain in ("prompt_gain", "melody_gain"):
        clean, transcribed = summary[f"{gain}_clean"]["mean"], summary[f"{gain}_transcribed"]["mean"]
        summary[f"{gain}_kept"] = {"mean": transcribed / clean if clean and transcribed is not None else None}
    return {**summary, "songs": len(songs)}


def _gains(network: MusicTransformer, song: TranscribedPiece, other: Excerpt) -> dict[str, float]:
    piece, noisy = song.piece, song.with_transcribed_prompt(PROMPT_BARS)
    unconditioned = event_probabilities(
        network, slice_bars(piece, PROMPT_BARS, piece.bars), piece.families
    ).nats_per_note()
    after = {
        name: event_probabilities(network, p, piece.families, start=PROMPT_BARS).nats_per_note()
        for name, p in (
            ("clean", piece),
            ("transcribed", noisy),
            ("no_chords", song.without_chords.with_transcribed_prompt(PROMPT_BARS)),
        )
    }
    return {
        "prompt_gain_clean": unconditioned - after["clean"],
        "prompt_gain_transcribed": unconditioned - after["transcribed"],
        "prompt_gain_transcribed_without_chords": unconditioned - after["no_chords"],
        "melody_gain_clean": continuation.melody_gain(network, Excerpt(piece), other),
        "melody_gain_transcribed": continuation.melody_gain(network, Excerpt(piece), other, _melody(song.notes)),
    }


def _melody(notes: IntArray) -> IntArray:
    return np.asarray(notes[notes[:, 2] == MELODY])


def _generated_metrics(
    network: MusicTransformer, song: TranscribedPiece, settings: GenerateSettings, seed: Sequence[int]
) -> dict[str, float]:
    """Key and pitch overlap with the true prompt of the bars generated after each prompt."""
    prompts = {"clean": song.piece, "transcribed": song.with_transcribed_prompt(PROMPT_BARS)}
    prompts |= {error: with_beat_error(song.piece, error) for error in BEAT_ERRORS}
    metrics = {}
    for name, piece in prompts.items():
        first = piece.bars - continuation.NEW_BARS
        known = replace(piece, notes=piece.notes[piece.notes[:, 0] < first])
        task = Request(known, first, piece.bars, song.piece.families)
        rows = generate_bars(network, task, settings.sampling, np.random.default_rng(seed))
        metrics[f"in_key_{name}"] = in_key(rows, piece.shift)
        classes = [n[n[:, 2] != DRUMS, 3] % 12 for n in (rows, Excerpt(song.piece).prompt)]
        metrics[f"pitch_overlap_{name}"] = histogram_overlap(classes[0], classes[1], 12)
    return metrics


def with_beat_error(piece: Piece, error: str) -> Piece:
    """The prompt of an excerpt under a wrong beat grid, and empty bars to write after it.

    `half_tempo`: every other beat is missed; `double_tempo`: two beats for one; `late_downbeat`: bars begin a beat
    late.
    """
    starts = np.concatenate([[0], np.cumsum(piece.bar_beats)]) * TICKS
    notes = piece.notes[piece.notes[:, 0] < PROMPT_BARS]
    onset, length = starts[notes[:, 0]] + notes[:, 1], notes[:, 4]
    ratio = {"half_tempo": 0.5, "double_tempo": 2.0}.get(error, 1.0)
    onset = np.round((onset + TICKS * (error == "late_downbeat")) * ratio).astype(np.int64)
    bar_ticks = piece.metre * TICKS
    bars = int(onset.max()) // bar_ticks + 1
    rows = np.column_stack(
        [onset // bar_ticks, onset % bar_ticks, notes[:, 2:4], np.maximum(np.round(length * ratio), 1)]
    )
    beats = np.full(bars + continuation.NEW_BARS, piece.metre)
    none = np.zeros((0, 3), np.int64)
    tempo = piece.tempo_bpm * ratio
    return Piece(piece.metre, tempo, piece.shift, beats, np.unique(rows.astype(np.int64), axis=0), none)


def error_rates(songs: Sequence[TranscribedPiece]) -> dict[str, float]:
    """Transcription errors per true note: `missed`, `octave`, `spurious`; and `moved` in time, per matched note.

    The median over songs of each song's rate.
    """
    counts = [_errors(song.piece.notes, song.notes) for song in songs]
    rates = np.median([(c[1] / c[0], c[2] / c[0], c[5] / c[0], c[3] / max(c[4], 1)) for c in counts], axis=0)
    return dict(zip(("missed", "octave", "spurious", "moved"), (round(float(r), 3) for r in rates), strict=True))


def _errors(reference: IntArray, estimate: IntArray) -> IntArray:
    """Counts: true notes, missed, an octave off, a tick or more off, matched, spurious.

    Drums are matched with drums, all other families with one another, within a quarter of a beat.
    """
    taken = np.zeros(len(estimate), bool)
    sums = np.zeros(6, np.int64)
    when = estimate[:, 0] * 1000 + estimate[:, 1]
    for bar, tick, family, pitch, _ in reference.tolist():
        near = (
            ~taken & ((estimate[:, 2] == DRUMS) == (family == DRUMS)) & (np.abs(when - bar * 1000 - tick) <= TICKS // 4)
        )
        for step, octave in ((0, 0), (12, 1), (-12, 1)):
            hits = np.flatnonzero(near & (estimate[:, 3] == pitch + step))
            if len(hits) and not (octave and family == DRUMS):
                best = hits[np.abs(when[hits] - bar * 1000 - tick).argmin()]
                taken[best] = True
                sums += (0, 0, octave, int(when[best] != bar * 1000 + tick), 1, 0)
                break
        else:
            sums[1] += 1
        sums[0] += 1
    sums[5] = (~taken).sum()
    return sums
