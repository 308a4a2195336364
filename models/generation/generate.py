"""Playing with a song: carrying it on for more bars, and writing a band around its melody."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.core.device import to_device
from models.core.errors import BadInput, unknown_name
from models.core.progress import UNWATCHED, Watch
from models.core.types import Grid, Score, Track
from models.generation.quantize import chords_again, ensemble, lay, score_of, without_silence
from models.generation.requests import Manner, Task
from models.generation.tokenizer import FAMILIES, Ints, Piece
from models.symbolic.beat_map import beats_to_seconds, carried_on, seconds_to_beats

if TYPE_CHECKING:
    from models.generation.network import MusicTransformer

BAND = ("drums", "bass", "piano", "guitar", "strings")
"""What plays where the prompt does not say."""
JOINED_BARS = 8
"""How many bars of the prompt the tracks that join it are first written for, unheard."""
NOTHING = Score(())


@dataclass(frozen=True)
class PlaySettings:
    """How the network plays.

    `temperature` 0.1..2, no unit: below 1 it keeps to what is likely, above it strays. `top_p` 0.05..1: only the
    likeliest events that together have this probability are drawn from. `follow` 0..1: how far the song's own past is
    taken up again (0 the network alone, 1 the memory as far as it is trusted). `harmony` 0..1: how far pitches lean
    towards those of the key, of the song so far and, under a melody, of its chords. `density` 0.25..4: the odds of
    one more note, 1 as the network would. `tracks`: which families play (`drums bass piano guitar strings melody`);
    empty for those of the prompt, or a whole band where there is none.
    """

    temperature: float = 0.95
    top_p: float = 0.95
    follow: float = 0.7
    harmony: float = 0.6
    density: float = 1.0
    tracks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, low, high in (
            ("temperature", 0.1, 2),
            ("top_p", 0.05, 1),
            ("follow", 0, 1),
            ("harmony", 0, 1),
            ("density", 0.25, 4),
        ):
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"The setting {name} is {getattr(self, name)}; it must lie between {low} and {high}.")
        for track in self.tracks:
            if track not in FAMILIES:
                raise unknown_name("track", track, FAMILIES)

    @property
    def manner(self) -> Manner:
        """The part of the settings that concerns single draws."""
        return Manner(self.temperature, self.top_p, self.follow, self.density, self.harmony)

    def families(self, otherwise: Collection[int]) -> list[int]:
        """The families to write: those asked for, else `otherwise`."""
        return sorted(FAMILIES.index(t) for t in self.tracks) if self.tracks else sorted(otherwise)


def extend(
    score: Score,
    grid: Grid,
    start_s: float,
    bars: int,
    network: "MusicTransformer",
    settings: PlaySettings,
    seed: int,
    device: str,
    watch: Watch = UNWATCHED,
    transcribed: bool = False,
) -> Score:
    """What the ensemble of `score` plays in the `bars` bars from `start_s` on: the new notes alone, on its tracks.

    `grid` already carries the beats of the new bars (`models.symbolic.beat_map.carried_on`). Of the score only what begins before
    `start_s` seconds is heard; where that is nothing, a band plays from the key, the tempo and the song's last chords.
    Tracks asked for that the prompt has not join it. A `transcribed` score is not taken at its word, note by note.
    Onsets lie in [start_s, end of the last bar]. Same seed, same notes on the same machine.
    """
    if bars <= 0:
        return NOTHING
    end_s = float(beats_to_seconds(grid, np.round(seconds_to_beats(grid, start_s)) + bars * grid.metre))
    laid, first = lay(score, grid, end_s, start_s)
    playing = ensemble(laid.piece, first)
    families = settings.families(playing or [FAMILIES.index(name) for name in BAND])
    piece = laid.piece if playing else chords_again(laid.piece, first)
    piece, gap = without_silence(piece, first)
    network, rng = to_device(network, device), np.random.default_rng(seed)
    missing = [family for family in families if family not in playing] if playing else []
    if missing:
        piece = _joined_by(network, piece, first - gap, playing, missing, settings, rng)
    if transcribed and playing:
        piece = replace(piece, heard=first - gap)
    task = Task(piece, first - gap, piece.bars, families, chords=not playing and len(piece.chords) > 0)
    rows = _written(network, task, settings.manner, rng, watch)
    return score_of(rows + np.array([gap, 0, 0, 0, 0]), laid, grid, score, start_s, end_s)


def _joined_by(
    network: "MusicTransformer",
    piece: Piece,
    stop: int,
    playing: list[int],
    missing: list[int],
    settings: PlaySettings,
    rng: np.random.Generator,
) -> Piece:
    """The piece with the families that are to join written under the last bars before `stop`, so that they play on."""
    start = max(stop - JOINED_BARS, 0)
    task = Task(piece, start, stop, missing, playing, chords=len(piece.chords) > 0)
    rows = _written(network, task, settings.manner, rng)
    return replace(piece, notes=np.concatenate([piece.notes, rows]))


def _written(
    network: "MusicTransformer", task: Task, manner: Manner, rng: np.random.Generator, watch: Watch = UNWATCHED
) -> Ints:
    """`sampling.write_bars`, imported with torch only where something is written."""
    from models.generation.sampling import write_bars

    return write_bars(network, task, manner, rng, watch)


def accompany(
    melody: Track | None,
    grid: Grid,
    end_s: float,
    network: "MusicTransformer",
    settings: PlaySettings,
    seed: int,
    device: str,
    watch: Watch = UNWATCHED,
    keep: Score = NOTHING,
) -> Score:
    """A band for the whole song, 0 to `end_s` seconds, that fits its melody (where it has one), its chords and key.

    Bar by bar the network reads the melody, the chords and the tracks to `keep`, then writes the other families.
    Returns the new tracks alone. Same seed, same notes on the same machine.
    """
    sung = () if melody is None else (Track("melody", melody.program, False, melody.notes),)
    given_score = Score(sung + keep.tracks)
    laid, _ = lay(given_score, grid, end_s)
    given = sorted(laid.piece.families)
    others = [FAMILIES.index(name) for name in BAND if FAMILIES.index(name) not in given]
    families = [f for f in settings.families(others) if f not in given]
    if not families or end_s <= 0:
        return NOTHING
    task = Task(laid.piece, 0, laid.piece.bars, families, given, chords=len(laid.piece.chords) > 0)
    rows = _written(to_device(network, device), task, settings.manner, np.random.default_rng(seed), watch)
    return score_of(rows, laid, grid, keep, 0.0, end_s)


def shortcomings(score: Score, grid: Grid, end_s: float, accompanied: bool) -> tuple[str, ...]:
    """What the network had to do without in a song that ends at `end_s` seconds, as sentences for a report.

    `accompanied`: it wrote a band under the melody (and plays that band on); else it plays the song's own score on.
    """
    known = [chord for chord in grid.chords if chord not in ("", "N", "X")]
    left = "key, tempo and chords" if known else "key and tempo"
    if accompanied:
        melody = score.track("melody")
        bars = float(seconds_to_beats(grid, end_s)) / grid.metre
        if melody is None or len(melody.notes) < bars / 4:
            return (f"Almost no melody was heard; the new band was written from the song's {left} alone.",)
    elif not ensemble(*_laid_to_its_end(score, grid, end_s)):
        return (f"Almost no notes were heard; the song was played on from its {left} alone.",)
    return ()


def _laid_to_its_end(score: Score, grid: Grid, end_s: float) -> tuple[Piece, int]:
    longer, start_s, stop_s = carried_on(grid, end_s, 1)
    laid, first = lay(score, longer, stop_s, start_s)
    return laid.piece, first
