"""How well the network plays on and accompanies, beside what the song does and what costs nothing.

Each held-out song gives up to three 8-bar prompts and the 16 bars that follow each. The rows: `model`, `real` (what the
song does next), `markov`, `repeat` (the prompt again), `other_song` (another song's bars, moved into this one's key).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.generation.evaluation.likelihood import chances, interval
from models.generation.evaluation.markov import Markov
from models.generation.evaluation.metrics import MELODY, chord_tone, groove, in_key, overlap, repetition
from models.generation.generate import PlaySettings
from models.generation.network import MusicTransformer
from models.generation.requests import Task
from models.generation.sampling import write_bars
from models.generation.tokenizer import DRUMS, TICKS, Ints, Piece, cut

PROMPT, PLAYED = 8, 16
"""Bars heard and bars written."""
TRIALS = 3
"""Of one song at most; its figures are their means."""
ROWS = ("model", "real", "markov", "repeat", "other_song")
PLAYED_FIGURES = (
    "in_key",
    "pitch_overlap",
    "groove",
    "onset_overlap",
    "self_repetition",
    "verbatim",
    "chord_tone",
)
FIGURES = ("nats_per_note", "nats_per_note_with_memory", *PLAYED_FIGURES)


@dataclass(frozen=True)
class Trial:
    """One song's prompt and what follows it, in bars 0..PROMPT + PLAYED of `piece`."""

    piece: Piece

    @property
    def prompt(self) -> Ints:
        return self.piece.notes[self.piece.notes[:, 0] < PROMPT]

    @property
    def real(self) -> Ints:
        return self.piece.notes[self.piece.notes[:, 0] >= PROMPT]


def trial_of(piece: Piece, start: int | None = None) -> Trial | None:
    """The trial from a bar on, or a quarter into the song; None where it is too short or too empty there."""
    start = max((piece.bars - PROMPT - PLAYED) // 4, 0) if start is None else start
    part = cut(piece, start, start + PROMPT + PLAYED)
    trial = Trial(part)
    full = part.bars == PROMPT + PLAYED
    return trial if full and len(trial.prompt) >= 2 * PROMPT and len(trial.real) >= 2 * PLAYED else None


def trials_of(piece: Piece, most: int = TRIALS) -> list[Trial]:
    """As many trials as a song has room for beside each other, evenly spread, without the empty ones."""
    count = min(most, piece.bars // (PROMPT + PLAYED))
    starts = [((2 * k + 1) * piece.bars // count - PROMPT - PLAYED) // 2 for k in range(count)]
    found = [trial_of(piece, start) for start in starts]
    return [trial for trial in found if trial is not None]


def figures(trial: Trial, written: Ints, band: Ints | None) -> dict[str, float]:
    """All figures of one continuation `written` (bars PROMPT on) and one accompaniment `band` of the same bars."""
    piece, prompt = trial.piece, trial.prompt
    pitches = [n[n[:, 2] != DRUMS, 3] % 12 for n in (written, prompt)]
    alike, same = repetition(np.concatenate([prompt, written]), PROMPT, PLAYED)
    melody = trial.real[trial.real[:, 2] == MELODY]
    return {
        "in_key": in_key(written, piece.shift),
        "pitch_overlap": overlap(pitches[0], pitches[1], 12),
        "groove": groove(written, PROMPT, PLAYED, piece.metre * TICKS),
        "onset_overlap": overlap(written[:, 1], prompt[:, 1], 200),
        "self_repetition": alike,
        "verbatim": same,
        "chord_tone": float("nan") if band is None else chord_tone(melody, band, piece.bar_beats),
    }


@dataclass(frozen=True)
class Judged:
    """What was found of one song: a row's figures (nan where it has none), the gains in nats a note, seconds."""

    rows: dict[str, dict[str, float]]
    prompt_gain: float
    melody_gain: float
    seconds: float


def continuation(
    network: MusicTransformer,
    held: Sequence[Piece],
    learnt: Sequence[Piece],
    settings: PlaySettings,
    seed: int = 0,
    watch: Watch = UNWATCHED,
) -> dict[str, Any]:
    """The whole evaluation as JSON-sized figures; see `judged` and `summed`."""
    return summed(judged(network, held, learnt, settings, seed, watch))


def summed(songs: Sequence[Judged]) -> dict[str, Any]:
    """Rows of means with 95 % bootstrap intervals over songs, gains, speed; null where no song has a figure.

    `prompt_gain` and `melody_gain` are nats a note, `seconds_16_bars` processor seconds of one thread (what an idle
    machine takes).
    """

    def figure(row: str, name: str) -> dict[str, float | None]:
        return interval([song.rows[row].get(name, float("nan")) for song in songs])

    return {
        "rows": {row: {name: figure(row, name) for name in FIGURES} for row in ROWS},
        "prompt_gain": interval([song.prompt_gain for song in songs]),
        "melody_gain": interval([song.melody_gain for song in songs]),
        "seconds_16_bars": float(np.median([song.seconds for song in songs])),
        "songs": len(songs),
    }


def judged(
    network: MusicTransformer,
    held: Sequence[Piece],
    learnt: Sequence[Piece],
    settings: PlaySettings,
    seed: int = 0,
    watch: Watch = UNWATCHED,
) -> list[Judged]:
    """Every song that is long enough for a trial, judged.

    `learnt` trains the Markov row; where it is empty each held-out song is judged by a Markov model of the others.
    Raises `BadInput` for fewer than two such songs.
    """
    tried = [(piece, trials) for piece in held if (trials := trials_of(piece))]
    if len(tried) < 2:
        raise BadInput(f"The evaluation needs at least two songs of {PROMPT + PLAYED} bars; found {len(tried)}.")
    markov = Markov()
    for piece in learnt or [piece for piece, _ in tried]:
        markov.learn(piece)
    found = []
    for i, (piece, trials) in enumerate(tried):
        watch.at(i / len(tried))
        others = tried[(i + 1) % len(tried)][1]
        if not learnt:
            markov.learn(piece, -1)
        rng = np.random.default_rng([seed, i])
        of_trials = [
            _tried(network, trial, others[k % len(others)], settings, markov, rng) for k, trial in enumerate(trials)
        ]
        rows = {row: {name: _mean([t.rows[row][name] for t in of_trials]) for name in PLAYED_FIGURES} for row in ROWS}
        heard, config = chances(network, piece, piece.families), network.config
        rows["model"]["nats_per_note"] = heard.nats_per_note()
        rows["model"]["nats_per_note_with_memory"] = heard.nats_per_note(config.event_trust, config.length_trust)
        rows["markov"]["nats_per_note"] = markov.nats_per_note(piece)
        if not learnt:
            markov.learn(piece)
        prompt, melody = _mean([t.prompt_gain for t in of_trials]), _mean([t.melody_gain for t in of_trials])
        found.append(Judged(rows, prompt, melody, _mean([t.seconds for t in of_trials])))
    return found


def _tried(
    network: MusicTransformer,
    trial: Trial,
    other: Trial,
    settings: PlaySettings,
    markov: Markov,
    rng: np.random.Generator,
) -> Judged:
    """One trial of a song, with nats left out."""
    began = time.process_time()
    played = _continued(network, trial, settings, rng)
    seconds = time.process_time() - began
    rows = _rows(trial, other, played, _accompanied(network, trial, settings, rng), markov, rng)
    return Judged(rows, prompt_gain(network, trial), melody_gain(network, trial, other), seconds)


def _mean(values: Sequence[float]) -> float:
    """The mean of what is not nan; nan of nothing."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def _rows(
    trial: Trial, other: Trial, played: Ints, band: Ints | None, markov: Markov, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """The figures of each row for one song."""
    again = np.concatenate([trial.prompt + np.array([PROMPT * k, 0, 0, 0, 0]) for k in (1, 2)])
    guest = _moved(other.real, other.piece.shift - trial.piece.shift)
    guest = guest[guest[:, 1] < trial.piece.metre * TICKS]
    chain = markov.write(trial.piece, PROMPT, PROMPT + PLAYED, trial.piece.families, rng)
    has_melody = band is not None
    plays: dict[str, Callable[[], dict[str, float]]] = {
        "model": lambda: figures(trial, played, band),
        "real": lambda: figures(trial, trial.real, trial.real if has_melody else None),
        "markov": lambda: figures(trial, chain, chain if has_melody else None),
        "repeat": lambda: figures(trial, again, again if has_melody else None),
        "other_song": lambda: figures(trial, guest, guest if has_melody else None),
    }
    return {row: play() for row, play in plays.items()}


def _moved(notes: Ints, semitones: int) -> Ints:
    steps = (semitones + 6) % 12 - 6
    return notes + np.outer(notes[:, 2] != DRUMS, [0, 0, 0, steps, 0])


def _continued(network: MusicTransformer, trial: Trial, settings: PlaySettings, rng: np.random.Generator) -> Ints:
    piece = replace(trial.piece, notes=trial.prompt)
    return write_bars(network, Task(piece, PROMPT, piece.bars, trial.piece.families), settings.manner, rng)


def _accompanied(
    network: MusicTransformer, trial: Trial, settings: PlaySettings, rng: np.random.Generator
) -> Ints | None:
    """The band of the bars after the prompt, from their melody and chords; None where the song has no melody there."""
    others = trial.piece.families - {MELODY}
    if not others or (trial.real[:, 2] == MELODY).sum() < PLAYED:
        return None
    heard = trial.piece.notes[(trial.piece.notes[:, 0] < PROMPT) | (trial.piece.notes[:, 2] == MELODY)]
    piece = replace(trial.piece, notes=heard)
    return write_bars(network, Task(piece, PROMPT, piece.bars, others, [MELODY], True), settings.manner, rng)


def prompt_gain(network: MusicTransformer, trial: Trial) -> float:
    """Nats a note that hearing the 8 bars before saves the network on the 16 after, against hearing nothing."""
    piece = trial.piece
    alone = chances(network, cut(piece, PROMPT, piece.bars), piece.families)
    return alone.nats_per_note() - chances(network, piece, piece.families, start=PROMPT).nats_per_note()


def melody_gain(network: MusicTransformer, trial: Trial, other: Trial, heard: Ints | None = None) -> float:
    """Nats a note of the band that the right melody saves against another song's in the same key, chords unknown.

    `heard` stands for the right melody where a transcriber wrote it down.
    """
    piece, others = trial.piece, trial.piece.families - {MELODY}
    strange = other.piece.notes[other.piece.notes[:, 2] == MELODY]
    strange = _moved(strange, other.piece.shift - piece.shift)
    strange = strange[strange[:, 1] < piece.metre * TICKS]
    own = (piece.notes[:, 2] == MELODY).sum()
    if not others or own < PLAYED or len(strange) < PLAYED:
        return float("nan")
    band = piece.notes[piece.notes[:, 2] != MELODY]
    melodies = (piece.notes[piece.notes[:, 2] == MELODY] if heard is None else heard, strange)
    right, wrong = (
        chances(network, replace(piece, notes=np.concatenate([band, melody])), others, [MELODY]).nats_per_note()
        for melody in melodies
    )
    return wrong - right
