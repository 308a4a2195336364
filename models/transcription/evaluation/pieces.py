"""Reference pieces with notes, beats, chords and key: POP909 songs with Groove drums, rendered stem by stem.

The data is given by folder: `pop909/POP909/<song>/` and `groove/<drummer>/` below it. Songs and drummers are split
into training ("train"), tuning ("dev") and test ("test") ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pretty_midi

from models.core.errors import BadInput
from models.core.types import Grid, Note, Score, Track, Wave
from models.symbolic.beat_map import beats_to_seconds
from models.synthesis.example_song.singer import FormantSinger, synthesise_line
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render

RATE = 44_100
_BASS_TOP = 50
"""The piano's lowest notes up to this pitch go to the bass."""
_OTHERS = (0, 4, 5, 16, 19, 24, 25, 27, 48, 50, 88)
_BASSES = (32, 33, 34, 35, 38, 39)
_TRACTS = (0.94, 1.0, 1.08, 1.16)
_KITS = (0, 8, 16, 24, 25)
_DRUMMERS = {
    "train": ("drummer1", "drummer7", "drummer8", "drummer9", "drummer4"),
    "dev": ("drummer2", "drummer5"),
    "test": ("drummer3", "drummer6", "drummer10"),
}
_GENERAL_MIDI_DRUMS = {22: 42, 26: 46, 58: 43}
"""Strokes that only the drummers' own kit has (the hi-hat's edge, a tom's rim), and the nearest of the kit."""
_LAST_DIGITS = {"train": "01245689", "dev": "3", "test": "7"}


@dataclass(frozen=True)
class ReferencePiece:
    """A piece with its annotations; `score` has the tracks "drums", "bass", "other" and "vocals"."""

    name: str
    score: Score
    grid: Grid
    chord_times_s: tuple[tuple[float, float], ...]
    chord_labels: tuple[str, ...]
    singer: FormantSinger = field(default_factory=partial(FormantSinger, 0))


def pieces(folder: Path, split: str, count: int, at_most_s: float = 120.0) -> Iterator[ReferencePiece]:
    """`count` pieces of a split ("train", "dev" or "test"), cut to `at_most_s` seconds; the same ones every time."""
    songs = sorted(p for p in (folder / "pop909" / "POP909").glob("[0-9]*") if p.is_dir())
    chosen = [song for song in songs if song.name[-1] in _LAST_DIGITS[split]]
    if not chosen:
        raise BadInput(f"There are no POP909 songs below {folder}.")
    drums = _grooves(folder, split)
    made = 0
    for index in np.random.default_rng(909).permutation(len(chosen)):
        if made == count:
            return
        piece = _piece(chosen[index], drums, np.random.default_rng(int(chosen[index].name)), at_most_s)
        if piece.grid.metre == 4:  # the drummers play in four
            made += 1
            yield piece


def rendered(piece: ReferencePiece, soundfont: str = "") -> dict[str, Wave]:
    """The stems of a piece: instruments rendered, vocals synthesised, all of one length, mixed below full scale."""
    frames = round((piece.score.end_s + 1.5) * RATE)
    stems = {}
    for track in piece.score.tracks:
        if track.name == "vocals":
            stems[track.name] = synthesise_line(piece.singer, track.notes, frames)
        else:
            blocks = render(Score((track,)), frames, RATE, RenderSettings(soundfont, gain_db=0.0))
            stems[track.name] = np.concatenate(list(blocks), axis=1)
    levels_db = {"drums": -20.0, "bass": -22.0, "other": -22.0, "vocals": -19.0}
    for name, samples in stems.items():
        level = np.sqrt(np.mean(samples**2)) + 1e-9
        stems[name] = samples * np.float32(10 ** (levels_db[name] / 20) / level)
    peak = max(1.0, float(np.abs(sum(stems.values())).max()))
    return {name: Wave((samples / peak).astype(np.float32), RATE) for name, samples in stems.items()}


def _grooves(folder: Path, split: str) -> list[Path]:
    """The drum performances in 4/4 of the split's drummers."""
    performances = sorted(
        p for drummer in _DRUMMERS[split] for p in (folder / "groove" / drummer).rglob("*beat_4-4.mid")
    )
    if not performances:
        raise BadInput(f"There are no Groove performances below {folder}.")
    return performances


def _piece(song: Path, grooves: list[Path], rng: np.random.Generator, at_most_s: float) -> ReferencePiece:
    """One song: its melody for a singer, its piano split into bass and other, drums added."""
    table = np.loadtxt(song / "beat_midi.txt")
    file = pretty_midi.PrettyMIDI(str(song / f"{song.name}.mid"))
    beats = table[:, 0]
    downs = np.flatnonzero(table[:, 2] > 0)
    metre = int(np.bincount(np.diff(downs)).argmax())
    grid = Grid(
        beats_s=tuple(map(float, beats)),
        downbeats_s=tuple(map(float, beats[downs])),
        tempo_bpm=60 / float(np.median(np.diff(beats))),
        metre=metre,
        key=_key(song / "key_audio.txt"),
        chords=("N",) * len(beats),
    )
    by_name = {i.name: [Note(n.start, n.end - n.start, n.pitch, n.velocity) for n in i.notes] for i in file.instruments}
    bass, piano = _split_bass(by_name["PIANO"])
    tracks = (
        Track("drums", int(rng.choice(_KITS)), True, tuple(_drums(grooves, grid, downs, rng))),
        Track("bass", int(rng.choice(_BASSES)), False, tuple(bass)),
        Track("other", int(rng.choice(_OTHERS)), False, tuple(piano + by_name["BRIDGE"])),
        Track("vocals", 53, False, tuple(by_name["MELODY"])),
    )
    singer = FormantSinger(int(song.name), float(rng.choice(_TRACTS)))
    times, labels = _chords(song / "chord_midi.txt", at_most_s)
    score = Score(tuple(_cut(track, at_most_s) for track in tracks))
    return ReferencePiece(f"pop909/{song.name}", score, _cut_grid(grid, at_most_s), times, labels, singer)


def _split_bass(piano: list[Note]) -> tuple[list[Note], list[Note]]:
    """The piano's low line as a monophonic bass in a bass's range, and the rest."""
    bass: list[Note] = []
    rest: list[Note] = []
    for note in sorted(piano, key=lambda n: (n.onset_s, n.pitch)):
        low = note.pitch <= _BASS_TOP and (not bass or note.onset_s - bass[-1].onset_s > 0.08)
        (bass if low else rest).append(note)
    line = []
    for note, until in zip(bass, [*(n.onset_s for n in bass), np.inf][1:], strict=True):
        pitch = note.pitch if note.pitch >= 28 else note.pitch + 12
        line.append(Note(note.onset_s, min(note.duration_s, until - note.onset_s), pitch, note.velocity))
    return line, rest


def _drums(grooves: list[Path], grid: Grid, downs: np.ndarray, rng: np.random.Generator) -> list[Note]:
    """A performance near the song's tempo, repeated over its bars of four beats, on the song's own beats."""
    tempo = {path: float(path.name.split("_")[2]) for path in grooves}
    near = sorted(grooves, key=lambda p: abs(np.log2(tempo[p] / grid.tempo_bpm)))[:40]
    path = near[int(rng.integers(len(near)))]
    played = [n for i in pretty_midi.PrettyMIDI(str(path)).instruments for n in i.notes]
    position = np.array([n.start for n in played]) * tempo[path] / 60
    bars = max(int(position.max() // 4), 1)
    notes = []
    for repeat in range(int(np.ceil((len(grid.beats_s) - downs[0]) / (4 * bars)))):
        beats = downs[0] + repeat * 4 * bars + position
        inside = (position < 4 * bars) & (beats < len(grid.beats_s))
        for i, onset in zip(np.flatnonzero(inside), beats_to_seconds(grid, beats[inside]), strict=True):
            pitch = _GENERAL_MIDI_DRUMS.get(played[i].pitch, played[i].pitch)
            notes.append(Note(float(onset), 0.1, pitch, played[i].velocity))
    return notes


def _key(path: Path) -> str:
    """The longest key."""
    held: dict[str, float] = {}
    for line in path.read_text().splitlines():
        start, stop, key = line.split()
        held[key] = held.get(key, 0.0) + float(stop) - float(start)
    return max(held, key=lambda k: held[k])


def _chords(path: Path, at_most_s: float) -> tuple[tuple[tuple[float, float], ...], tuple[str, ...]]:
    rows = [line.split() for line in path.read_text().splitlines()]
    kept = [(float(a), min(float(b), at_most_s), label) for a, b, label in rows if float(a) < at_most_s]
    return tuple((a, b) for a, b, _ in kept), tuple(label for _, _, label in kept)


def _cut(track: Track, at_most_s: float) -> Track:
    notes = (n for n in track.notes if n.onset_s < at_most_s)
    kept = (Note(n.onset_s, min(n.duration_s, at_most_s - n.onset_s), n.pitch, n.velocity) for n in notes)
    return Track(track.name, track.program, track.is_drum, tuple(sorted(kept, key=lambda n: (n.onset_s, n.pitch))))


def _cut_grid(grid: Grid, at_most_s: float) -> Grid:
    beats = tuple(t for t in grid.beats_s if t < at_most_s)
    downs = tuple(t for t in grid.downbeats_s if t < at_most_s)
    return Grid(beats, downs, grid.tempo_bpm, grid.metre, grid.key, grid.chords[: len(beats)])
