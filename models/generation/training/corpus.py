"""MIDI collections read onto the lattice, near-duplicates found, and a split written down before anything is trained.

Sources: POP909 (Wang et al. 2020; melody, bridge, piano, with beats, chords and keys), Freedoom and OpenMSX (bands with
drums and bass), Nottingham (folk tunes with chords) and Groove (Gillick et al. 2019; drums).
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import symusic

from models.core.errors import BadInput
from models.core.types import Track
from models.generation.chords import chord_rows, chords_heard, key_shift, shift_of_key
from models.generation.quantize import bars_between, family_of
from models.generation.tokenizer import DRUMS, FAMILIES, LARGEST_METRE, SMALLEST_METRE, TICKS, Ints, Piece

SOURCES = ("pop909", "freedoom", "openmsx", "nottingham", "groove")
BANDS = ("freedoom", "openmsx")
_POP909_TRACKS = {"MELODY": "melody", "BRIDGE": "strings", "CAU": "strings", "PIANO": "piano"}
_GROOVE_DRUMS = {22: 42, 26: 46, 58: 43}
"""What the electronic kit of Groove plays, in General MIDI."""


@dataclass(frozen=True)
class Entry:
    """A piece, the collection it is from, and the `song` it is a version of (pieces of one song stay on one side)."""

    name: str
    source: str
    song: str
    piece: Piece


def read(folder: Path, sources: Collection[str] = SOURCES) -> Iterator[Entry]:
    """Every usable piece of the collections lying in `folder`; what is too short or has no notes is left out."""
    for source in sources:
        root = folder / source
        if source not in SOURCES or not root.is_dir():
            raise BadInput(f"There is no MIDI collection {source!r} in {folder}; known: {', '.join(SOURCES)}.")
        for entry in _pop909(root) if source == "pop909" else _plain(root, source):
            if entry.piece.bars >= 4 and len(entry.piece.notes) >= 16:
                yield entry


def _plain(root: Path, source: str) -> Iterator[Entry]:
    for path in sorted(root.rglob("*.mid")):
        if source == "groove" and not ("_beat_" in path.stem and path.stem.endswith("4-4")):
            continue
        piece = piece_of_midi(path, tune_first=source == "nottingham")
        if piece is not None:
            name = str(path.relative_to(root).with_suffix(""))
            yield Entry(f"{source}/{name}", source, f"{source}/{name}", piece)


def piece_of_midi(path: Path, tune_first: bool = False, by_name: bool = False) -> Piece | None:
    """A MIDI file by its own metre and tempo, None without notes.

    `tune_first`: its first track is a melody; `by_name`: a track called "melody", "bass", ... is one.
    """
    try:
        score: Any = symusic.Score(str(path))
    except RuntimeError:
        return None
    metre, beat = 4, 1.0  # the beat in quarters
    if score.time_signatures:
        top, bottom = score.time_signatures[0].numerator, score.time_signatures[0].denominator
        compound = bottom == 8 and top % 3 == 0
        metre, beat = (top // 3, 1.5) if compound else (top, 4 / bottom)
    if not SMALLEST_METRE <= metre <= LARGEST_METRE:
        metre, beat = 4, 1.0
    scale = TICKS / (score.ticks_per_quarter * beat)
    rows = []
    for place, track in enumerate(score.tracks):
        drums = track.is_drum
        named = Track(track.name if by_name else "", track.program, drums, ())
        family = family_of(named)
        family = FAMILIES.index("melody") if tune_first and place == 0 else family
        rows += [
            (
                n.time * scale,
                n.duration * scale,
                family,
                _GROOVE_DRUMS.get(n.pitch, n.pitch) if track.is_drum else n.pitch,
            )
            for n in track.notes
            if track.is_drum or track.program < 120
        ]
    if not rows:
        return None
    tempo = float(np.median([t.qpm for t in score.tempos])) / beat if score.tempos else 120.0
    return _piece(np.array(rows), metre, np.zeros(0, np.int64), tempo, None, None)


def _pop909(root: Path) -> Iterator[Entry]:
    for song in sorted(p for p in (root / "POP909").iterdir() if p.is_dir()):
        beats = np.loadtxt(song / "beat_midi.txt", ndmin=2)
        if len(beats) < 32:
            continue
        main = _pop909_notes(song / f"{song.name}.mid")
        for path in [song / f"{song.name}.mid", *sorted((song / "versions").glob("*.mid"))]:
            notes = main if path.parent == song else _laid_on(_pop909_notes(path), main)
            if notes is not None and len(notes):
                piece = _pop909_piece(notes, beats, song)
                yield Entry(f"pop909/{path.stem}", "pop909", f"pop909/{song.name}", piece)


def _pop909_notes(path: Path) -> np.ndarray:
    """Onset and duration in seconds, family and pitch. Shape: (notes, 4)."""
    midi: Any = symusic.Score(str(path))
    score = midi.to("second")
    return np.array(
        [
            (n.time, n.duration, FAMILIES.index(_POP909_TRACKS[t.name.strip()]), n.pitch)
            for t in score.tracks
            if t.name.strip() in _POP909_TRACKS
            for n in t.notes
        ]
    ).reshape(-1, 4)


def _laid_on(notes: np.ndarray, main: np.ndarray) -> np.ndarray | None:
    """A version moved in time so that its onsets fall on the main one's; None where they do not (below 70 %)."""
    if not len(notes):
        return None
    heads = [np.unique(np.round(x[:, 0] * 50).astype(int)) for x in (notes, main)]
    gaps = (heads[1][:, None] - heads[0][None, :]).ravel()
    gaps = gaps[np.abs(gaps) <= 100]
    offset = float(np.bincount(gaps + 100, minlength=201).argmax() - 100) / 50
    moved = notes + np.array([offset, 0, 0, 0])
    near = np.abs(moved[:, :1] - np.sort(main[:, 0])[_nearest(np.sort(main[:, 0]), moved[:, 0])][:, None]) < 0.04
    return moved if near.mean() > 0.7 else None


def _nearest(sorted_values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    right = np.clip(np.searchsorted(sorted_values, wanted), 1, len(sorted_values) - 1)
    return np.asarray(right - (wanted - sorted_values[right - 1] < sorted_values[right] - wanted))


def _pop909_piece(notes: np.ndarray, beats: np.ndarray, song: Path) -> Piece:
    times = beats[:, 0]
    period = np.diff(times)
    step = float(np.median(period))
    # the file's beats stop with the music; two bars more on either side take in pickups and last chords
    times = np.concatenate([times[0] - step * np.arange(8, 0, -1), times, times[-1] + step * np.arange(1, 9)])
    index = np.arange(len(times))
    marks = beats[:, 2] if beats.shape[1] > 2 and _regular(beats[:, 2]) == 4 else beats[:, 1]
    metre = max(_regular(marks), 2) if _regular(marks) <= LARGEST_METRE else 4
    lattice = notes.copy()
    lattice[:, 0] = np.interp(notes[:, 0], times, index) * TICKS
    lattice[:, 1] = np.interp(notes[:, 0] + notes[:, 1], times, index) * TICKS - lattice[:, 0]
    chords = []
    for line in (song / "chord_midi.txt").read_text().splitlines():
        start, _, name = line.split("\t")[:3]
        chords.append((round(float(np.interp(float(start), times, index))) * TICKS, name))
    return _piece(lattice, metre, np.flatnonzero(marks) + 8, 60 / step, chords, _main_key(song / "key_audio.txt"))


def _regular(marks: np.ndarray) -> int:
    """The commonest distance between downbeats, in beats; 0 where none are marked."""
    gaps = np.diff(np.flatnonzero(marks))
    return int(np.bincount(gaps).argmax()) if len(gaps) else 0


def _main_key(path: Path) -> str:
    """The key that the song is in longest."""
    held: dict[str, float] = {}
    for line in path.read_text().splitlines():
        start, stop, key = line.split("\t")[:3]
        held[key] = held.get(key, 0.0) + float(stop) - float(start)
    return max(held, key=lambda k: held[k])


def _piece(
    lattice: np.ndarray,
    metre: int,
    downbeats: Ints,
    tempo_bpm: float,
    chords: list[tuple[int, str]] | None,
    key: str | None,
) -> Piece:
    """A piece from rows of onset and duration in ticks, family and pitch; silence around it is cut off, bar by bar."""
    onset = np.round(lattice[:, 0]).astype(np.int64)
    onset = np.maximum(onset, 0)
    starts = bars_between(downbeats, metre, int(onset.max()) // TICKS)
    starts = starts[np.searchsorted(starts * TICKS, onset.min(), side="right") - 1 :]
    last = int(np.searchsorted(starts * TICKS, onset.max(), side="right"))
    starts, beats = starts[:last], np.diff(starts[: last + 1])
    bar = np.searchsorted(starts * TICKS, onset, side="right") - 1
    length = np.maximum(np.round(lattice[:, 1]).astype(np.int64), 1)
    notes = np.stack([bar, onset - starts[bar] * TICKS, lattice[:, 2], lattice[:, 3], length], 1).astype(np.int64)
    notes = np.unique(notes, axis=0)
    shift = key_shift(notes) if key is None else shift_of_key(key)
    rows = chords_heard(notes, beats) if chords is None else chord_rows(chords, starts, beats)
    return Piece(metre, tempo_bpm, shift, beats, notes, rows)


def fingerprint(piece: Piece) -> frozenset[int]:
    """Hashes of what the topmost line does over eight notes, free of key and of note lengths."""
    pitched = piece.notes[piece.notes[:, 2] != DRUMS]
    if len(pitched) < 16:
        pitched = piece.notes
    moment = pitched[:, 0] * 1000 + pitched[:, 1]
    pitched = pitched[np.argsort(moment, kind="stable")]
    top = np.maximum.reduceat(pitched[:, 3], np.unique(np.sort(moment), return_index=True)[1])
    steps = np.diff(top)
    return frozenset(hash(tuple(steps[i : i + 7].tolist())) for i in range(len(steps) - 6))


def near_duplicates(entries: list[Entry], alike: float = 0.2) -> dict[str, str]:
    """Songs whose fingerprints overlap by more than `alike` of the smaller one, under their family's first name."""
    prints = {e.song: fingerprint(e.piece) for e in reversed(entries) if e.source != "groove"}
    family = {song: song for song in prints}

    def head(song: str) -> str:
        while family[song] != song:
            song = family[song]
        return song

    seen: dict[int, list[str]] = {}
    for song, marks in sorted(prints.items()):
        shared: dict[str, int] = {}
        for mark in marks:
            for other in seen.get(mark, ()):
                shared[other] = shared.get(other, 0) + 1
            seen.setdefault(mark, []).append(song)
        for other, count in shared.items():
            if count > alike * min(len(marks), len(prints[other])) and count >= 8:
                first, second = sorted((head(song), head(other)))
                family[second] = first
    return {song: head(song) for song in prints}


def held_out(entries: list[Entry], share: float = 0.06, bands: float = 0.16) -> list[str]:
    """The names of the pieces to test on: a seeded share of the families of songs, main versions only.

    Bands are few, so a larger share of them is kept back. Groove, which only lends its drums, is not tested on.
    """
    family = near_duplicates(entries)
    chosen = []
    for entry in entries:
        place = int(hashlib.sha256(family.get(entry.song, "").encode()).hexdigest()[:8], 16) / 2**32
        wanted = {"groove": 0.0, **dict.fromkeys(BANDS, bands)}.get(entry.source, share)
        if place < wanted and entry.name.partition("-v")[0] == entry.name:
            chosen.append(entry.name)
    return chosen


def divided(entries: list[Entry], held: Collection[str]) -> tuple[list[Entry], list[Entry]]:
    """The pieces to learn from and the held-out ones; other versions of a held-out song are in neither."""
    names = set(held)
    songs = {e.song for e in entries if e.name in names}
    return [e for e in entries if e.song not in songs], [e for e in entries if e.name in names]


def save(entries: list[Entry], path: Path) -> None:
    """All pieces in one compressed .npz."""
    pieces = [e.piece for e in entries]
    np.savez_compressed(
        path,
        names=np.array([(e.name, e.source, e.song) for e in entries]),
        facts=np.array([(p.metre, p.tempo_bpm, p.shift) for p in pieces]),
        sizes=np.array([(p.bars, len(p.notes), len(p.chords)) for p in pieces]),
        bar_beats=np.concatenate([p.bar_beats for p in pieces]).astype(np.int16),
        notes=np.concatenate([p.notes for p in pieces]).astype(np.int16),
        chords=np.concatenate([p.chords for p in pieces]).astype(np.int16),
    )


def load(path: Path) -> list[Entry]:
    """What `save` wrote."""
    with np.load(path) as data:
        names, facts, sizes = data["names"], data["facts"], data["sizes"]
        columns = [
            np.split(data[key].astype(np.int64), np.cumsum(sizes[:-1, i]))
            for i, key in enumerate(("bar_beats", "notes", "chords"))
        ]
    return [
        Entry(str(name[0]), str(name[1]), str(name[2]), Piece(int(fact[0]), float(fact[1]), int(fact[2]), b, n, c))
        for name, fact, b, n, c in zip(names, facts, *columns, strict=True)
    ]
