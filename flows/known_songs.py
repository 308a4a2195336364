"""Songs of which everything is known, to measure listening by: rendered from MIDI, or our own example song."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.demucs.load import load, separator_path
from models.demucs.split import SplitSettings, split
from models.example_song import example_song
from models.records import Score, Track, Wave
from models.transcription_pieces import Piece, pieces, rendered

STEMS = ("drums", "bass", "other", "vocals")
_EXAMPLE_S = 30.0


@dataclass(frozen=True)
class KnownSong:
    """A piece as sound: the mix, the true stems that add up to it, and the stems a separator makes of it."""

    piece: Piece
    mix: Wave
    true: dict[str, Wave]
    separated: dict[str, Wave]


def known_songs(
    midi: Path | None, part: str, songs: int, seconds: float, separator: str, device: str = "cpu"
) -> Iterator[KnownSong]:
    """`songs` songs of at most `seconds`, taken apart by a separator; without a folder of MIDI, example songs.

    Of the folder the songs of `part` are taken: "dev" to tune on, "test" to report. Raises `BadInput` for a folder
    without songs and for an unusable separator.
    """
    network = load(separator_path(separator), device)
    found = pieces(midi, part, songs, seconds) if midi else (_example(seed) for seed in range(songs))
    for piece in found:
        true = rendered(piece) if midi else _example_stems(int(piece.name.split()[-1]))
        mix = np.asarray(sum(wave.samples for wave in true.values()), np.float32)
        rate = true["drums"].sample_rate
        parted = np.concatenate(list(split(Wave(mix, rate), network, SplitSettings(), 0, device)), axis=2)
        named = dict(zip(network.sources, parted, strict=True))  # type: ignore[arg-type]
        yield KnownSong(piece, Wave(mix, rate), true, {name: Wave(named[name], rate) for name in STEMS})


def _example(seed: int) -> Piece:
    """The project's own song: seed 0 is the demo, others change key and playing."""
    song = example_song(seed, _EXAMPLE_S)
    named = {"melody": "vocals"}
    tracks = (Track(named.get(t.name, t.name), t.program, t.is_drum, t.notes) for t in song.score.tracks)
    ends = [*song.grid.beats_s[1:], song.mix.duration_s]
    spans = tuple((a, b) for a, b in zip(song.grid.beats_s, ends, strict=True) if b > a)
    score = Score(tuple(t for t in tracks if t.name in STEMS))
    return Piece(f"example song {seed}", score, song.grid, spans, song.grid.chords[: len(spans)])


def _example_stems(seed: int) -> dict[str, Wave]:
    stems = example_song(seed, _EXAMPLE_S).stems
    sung = stems["lead_vocals"].samples + stems["backing_vocals"].samples
    return {name: stems[name] for name in STEMS[:3]} | {"vocals": Wave(sung, stems["drums"].sample_rate)}
