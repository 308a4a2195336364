"""How well the network plays on after a prompt that was heard wrongly, judged by what the song truly does next."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.core.progress import UNWATCHED, Watch
from models.generation.evaluation import continuation
from models.generation.evaluation.continuation import PROMPT, Trial
from models.generation.evaluation.likelihood import chances, interval
from models.generation.evaluation.metrics import MELODY, in_key, overlap
from models.generation.generate import PlaySettings
from models.generation.network import MusicTransformer
from models.generation.requests import Task
from models.generation.sampling import write_bars
from models.generation.tokenizer import DRUMS, TICKS, Ints, Piece, cut
from models.generation.training.transcription_noise import Heard

BEAT_ERRORS = ("half_tempo", "double_tempo", "late_downbeat")


def after_errors(
    network: MusicTransformer, found: Sequence[Heard], settings: PlaySettings, seed: int = 0, watch: Watch = UNWATCHED
) -> dict[str, Any]:
    """What prompts and melodies are worth as they were heard beside clean ones, and how the bars written compare.

    `prompt_gain` and `melody_gain` (nats a note, each `clean` and `heard`) are judged on the true continuation and
    band; `kept` is the share of the clean ones' worth that is left. `in_key` and `pitch_overlap` are those of the bars
    written after the clean prompt, the heard one, and the clean one under each of `BEAT_ERRORS`.
    """
    rows: list[dict[str, float]] = []
    for i, heard in enumerate(found):
        watch.at(i / len(found))
        other = Trial(found[(i + 1) % len(found)].piece)
        rows.append(_gains(network, heard, other) | _written(network, heard, settings, [seed, i]))
    summed = {name: interval([row[name] for row in rows]) for name in rows[0]}
    for gain in ("prompt_gain", "melody_gain"):
        clean, left = summed[f"{gain}_clean"]["mean"], summed[f"{gain}_heard"]["mean"]
        summed[f"{gain}_kept"] = {"mean": left / clean if clean and left is not None else None}
    return {**summed, "songs": len(found)}


def _gains(network: MusicTransformer, heard: Heard, other: Trial) -> dict[str, float]:
    piece, noisy = heard.piece, heard.until(PROMPT)
    alone = chances(network, cut(piece, PROMPT, piece.bars), piece.families).nats_per_note()
    after = {
        name: chances(network, p, piece.families, start=PROMPT).nats_per_note()
        for name, p in (("clean", piece), ("heard", noisy), ("unnamed", heard.unnamed.until(PROMPT)))
    }
    return {
        "prompt_gain_clean": alone - after["clean"],
        "prompt_gain_heard": alone - after["heard"],
        "prompt_gain_heard_without_chords": alone - after["unnamed"],
        "melody_gain_clean": continuation.melody_gain(network, Trial(piece), other),
        "melody_gain_heard": continuation.melody_gain(network, Trial(piece), other, _melody(heard.notes)),
    }


def _melody(notes: Ints) -> Ints:
    return np.asarray(notes[notes[:, 2] == MELODY])


def _written(network: MusicTransformer, heard: Heard, settings: PlaySettings, seed: Sequence[int]) -> dict[str, float]:
    """How the bars written after each prompt lie in the song's key and beside the true prompt's pitches."""
    prompts = {"clean": heard.piece, "heard": heard.until(PROMPT)}
    prompts |= {error: misbeaten(heard.piece, error) for error in BEAT_ERRORS}
    figures = {}
    for name, piece in prompts.items():
        first = piece.bars - continuation.PLAYED
        known = replace(piece, notes=piece.notes[piece.notes[:, 0] < first])
        task = Task(known, first, piece.bars, heard.piece.families)
        rows = write_bars(network, task, settings.manner, np.random.default_rng(seed))
        figures[f"in_key_{name}"] = in_key(rows, piece.shift)
        classes = [n[n[:, 2] != DRUMS, 3] % 12 for n in (rows, Trial(heard.piece).prompt)]
        figures[f"pitch_overlap_{name}"] = overlap(classes[0], classes[1], 12)
    return figures


def misbeaten(piece: Piece, error: str) -> Piece:
    """The prompt of a trial under a wrong grid, and empty bars to write after it.

    Every other beat taken for one, two beats found in each, or bars that begin a beat late.
    """
    starts = np.concatenate([[0], np.cumsum(piece.bar_beats)]) * TICKS
    notes = piece.notes[piece.notes[:, 0] < PROMPT]
    onset, length = starts[notes[:, 0]] + notes[:, 1], notes[:, 4]
    ratio = {"half_tempo": 0.5, "double_tempo": 2.0}.get(error, 1.0)
    onset = np.round((onset + TICKS * (error == "late_downbeat")) * ratio).astype(np.int64)
    room = piece.metre * TICKS
    bars = int(onset.max()) // room + 1
    rows = np.column_stack([onset // room, onset % room, notes[:, 2:4], np.maximum(np.round(length * ratio), 1)])
    beats = np.full(bars + continuation.PLAYED, piece.metre)
    none = np.zeros((0, 3), np.int64)
    tempo = piece.tempo_bpm * ratio
    return Piece(piece.metre, tempo, piece.shift, beats, np.unique(rows.astype(np.int64), axis=0), none)


def error_rates(found: Sequence[Heard]) -> dict[str, float]:
    """A transcriber's errors a true note: `missed`, an `octave` off, `spurious`; and `moved` in time.

    The rate of each song, the median over songs; `moved` is a share of the notes that were heard.
    """
    counts = [_errors(heard.piece.notes, heard.notes) for heard in found]
    rates = np.median([(c[1] / c[0], c[2] / c[0], c[5] / c[0], c[3] / max(c[4], 1)) for c in counts], axis=0)
    return dict(zip(("missed", "octave", "spurious", "moved"), (round(float(r), 3) for r in rates), strict=True))


def _errors(true: Ints, heard: Ints) -> Ints:
    """Counts: true notes, missed, heard an octave off, heard a tick or more off, heard, and heard where none is.

    Drums are matched with drums, all other families with one another; a beat's quarter counts as the same time.
    """
    taken = np.zeros(len(heard), bool)
    sums = np.zeros(6, np.int64)
    when = heard[:, 0] * 1000 + heard[:, 1]
    for bar, tick, family, pitch, _ in true.tolist():
        near = ~taken & ((heard[:, 2] == DRUMS) == (family == DRUMS)) & (np.abs(when - bar * 1000 - tick) <= TICKS // 4)
        for step, octave in ((0, 0), (12, 1), (-12, 1)):
            hits = np.flatnonzero(near & (heard[:, 3] == pitch + step))
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
