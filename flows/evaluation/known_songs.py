"""Songs with reference annotations, for analysis and transcription: rendered from MIDI, or our own example song."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.core.types import Score, Track, Wave
from models.separation.checkpoints import load, separator_path
from models.separation.separate import split
from models.separation.settings import SeparateSettings
from models.separation.stems import STEMS, check_sources, four_stems
from models.synthesis.example_song import ExampleSong, example_song
from models.transcription.evaluation.pieces import ReferencePiece, pieces, rendered

if TYPE_CHECKING:
    import torch

_EXAMPLE_S = 30.0


@dataclass(frozen=True)
class KnownSong:
    """A piece as audio: the mix, the true stems that add up to it, and the separated ones."""

    piece: ReferencePiece
    mix: Wave
    true: dict[str, Wave]
    separated: dict[str, Wave]


def true_stems(
    midi: Path | None, part: str, songs: int, seconds: float
) -> Iterator[tuple[ReferencePiece, dict[str, Wave]]]:
    """`songs` songs of at most `seconds`, each with its stems; without a folder of MIDI, example songs.

    Of the folder the songs of `part` are taken: "dev" to tune on, "test" to report. Raises `BadInput` for a folder
    without songs.
    """
    if midi is not None:
        for piece in pieces(midi, part, songs, seconds):
            yield piece, rendered(piece)
        return
    for seed in range(songs):
        song = example_song(seed, min(seconds, _EXAMPLE_S))
        band = {name: song.stems[name] for name in STEMS[:3]}
        yield _piece(f"example song {seed}", song), band | {"vocals": song.stems["lead_vocals"]}


def mixed(stems: dict[str, Wave]) -> Wave:
    """The song that stems add up to."""
    return Wave(np.asarray(sum(wave.samples for wave in stems.values()), np.float32), stems["drums"].sample_rate)


def known_songs(
    midi: Path | None, part: str, songs: int, seconds: float, separator: str, device: str = "cpu"
) -> Iterator[KnownSong]:
    """The songs of `true_stems`, separated; raises `BadInput` also for an unusable one."""
    network = load(separator_path(separator), device)
    check_sources(separator, network.sources)  # type: ignore[arg-type]
    for piece, true in true_stems(midi, part, songs, seconds):
        yield KnownSong(piece, mixed(true), true, apart(true, network, device))


def apart(true: dict[str, Wave], network: "torch.nn.Module", device: str = "cpu") -> dict[str, Wave]:
    """The stems that a separator makes of the song that these stems add up to."""
    mix = mixed(true)
    parted = np.concatenate(list(split(mix, network, SeparateSettings(), 0, device)), axis=2)
    stems = four_stems(network.sources, parted)  # type: ignore[arg-type]
    return {name: Wave(stem, mix.sample_rate) for name, stem in zip(STEMS, stems, strict=True)}


def _piece(name: str, song: ExampleSong) -> ReferencePiece:
    """What is known of an example song without its backing singers."""
    named = {"melody": "vocals"}
    tracks = (Track(named.get(t.name, t.name), t.program, t.is_drum, t.notes) for t in song.score.tracks)
    ends = [*song.grid.beats_s[1:], song.mix.duration_s]
    spans = tuple((a, b) for a, b in zip(song.grid.beats_s, ends, strict=True) if b > a)
    score = Score(tuple(t for t in tracks if t.name in STEMS))
    return ReferencePiece(name, score, song.grid, spans, song.grid.chords[: len(spans)])
