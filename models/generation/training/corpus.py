"""Training corpus: MIDI collections as quantized pieces, near-duplicate detection, and a fixed held-out split.

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

from models.core.dtypes import IntArray
from models.core.errors import BadInput
from models.core.types import Track
from models.generation.chords import chord_rows, estimate_chords, key_shift, shift_of_key
from models.generation.quantize import family_of, fill_bar_starts
from models.generation.tokenizer import DRUMS, FAMILIES, MAX_METRE, MIN_METRE, TICKS, Piece

SOURCES = ("pop909", "freedoom", "openmsx", "nottingham", "groove")
BANDS = ("freedoom", "openmsx")
_POP909_TRACKS = {"MELODY": "melody", "BRIDGE": "strings", "CAU": "strings", "PIANO": "piano"}
_GROOVE_DRUMS = {22: 42, 26: 46, 58: 43}
"""Pitches of Groove's electronic kit, and their General MIDI ones."""


@dataclass(frozen=True)
class Entry:
    """A piece, its collection, and the `song` it is a version of (all on one side of the split)."""

    name: str
    source: str
    song: str
    piece: Piece


def read(folder: Path, sources: Collection[str] = SOURCES) -> Iterator[Entry]:
    """Every usable piece of the collections in `folder`: at least 4 bars and 16 notes."""
    for source in sources:
        root = folder / source
        if source not in SOURCES or not root.is_dir():
            raise BadInput(f"There is no MIDI collection {source!r} in {folder}; known: {', '.join(SOURCES)}.")
        for entry in _pop909(root) if source == "pop909" else _midi_entries(root, source):
            if entry.piece.bars >= 4 and len(entry.piece.notes) >= 16:
                yield entry


def _midi_entries(root: Path, source: str) -> Iterator[Entry]:
    for path in sorted(root.rglob("*.mid")):
        if source == "groove" and not ("_beat_" in path.stem and path.stem.endswith("4-4")):
            continue
        piece = piece_of_midi(path, first_track_is_melody=source == "nottingham")
        if piece is not None:
            name = str(path.relative_to(root).with_suffix(""))
            yield Entry(f"{source}/{name}", source, f"{source}/{name}", piece)


def piece_of_midi(path: Path, first_track_is_melody: bool = False, by_name: bool = False) -> Piece | None:
    """A MIDI file as a piece by its own metre and tempo, None without notes.

    `first_track_is_melody`: its first track is a melody; `by_name`: track names such as "melody", "bass" give the
    family.
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
    if not MIN_METRE <= metre <= MAX_METRE:
        metre, beat = 4, 1.0
    scale = TICKS / (score.ticks_per_quarter * beat)
    rows = []
    for index, track in enumerate(score.tracks):
        drums = track.is_drum
        named_track = Track(track.name if by_name else "", track.program, drums, ())
        family = family_of(named_track)
        family = FAMILIES.index("melody") if first_track_is_melody and index == 0 else family
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
    return _make_piece(np.array(rows), metre, np.zeros(0, np.int64), tempo, None, None)


def _pop909(root: Path) -> Iterator[Entry]:
    for song in sorted(p for p in (root / "POP909").iterdir() if p.is_dir()):
        beats = np.loadtxt(song / "beat_midi.txt", ndmin=2)
        if len(beats) < 32:
            continue
        main = _pop909_notes(song / f"{song.name}.mid")
        for path in [song / f"{song.name}.mid", *sorted((song / "versions").glob("*.mid"))]:
            notes = main if path.parent == song else _aligned_to(_pop909_notes(path), main)
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


def _aligned_to(notes: np.ndarray, main: np.ndarray) -> np.ndarray | None:
    """A version shifted in time so that its onsets fall on the main one's; None where under 70 % do."""
    if not len(notes):
        return None
    onsets = [np.unique(np.round(x[:, 0] * 50).astype(int)) for x in (notes, main)]
    gaps = (onsets[1][:, None] - onsets[0][None, :]).ravel()
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
    marks = beats[:, 2] if beats.shape[1] > 2 and _commonest_bar(beats[:, 2]) == 4 else beats[:, 1]
    metre = max(_commonest_bar(marks), 2) if _commonest_bar(marks) <= MAX_METRE else 4
    note_ticks = notes.copy()
    note_ticks[:, 0] = np.interp(notes[:, 0], times, index) * TICKS
    note_ticks[:, 1] = np.interp(notes[:, 0] + notes[:, 1], times, index) * TICKS - note_ticks[:, 0]
    chords = []
    for line in (song / "chord_midi.txt").read_text().splitlines():
        start, _, name = line.split("\t")[:3]
        chords.append((round(float(np.interp(float(start), times, index))) * TICKS, name))
    return _make_piece(
        note_ticks, metre, np.flatnonzero(marks) + 8, 60 / step, chords, _longest_key(song / "key_audio.txt")
    )


def _commonest_bar(marks: np.ndarray) -> int:
    """The commonest distance between downbeats, in beats; 0 where none are marked."""
    gaps = np.diff(np.flatnonzero(marks))
    return int(np.bincount(gaps).argmax()) if len(gaps) else 0


def _longest_key(path: Path) -> str:
    """The key that the song is in longest."""
    held_out_names: dict[str, float] = {}
    for line in path.read_text().splitlines():
        start, stop, key = line.split("\t")[:3]
        held_out_names[key] = held_out_names.get(key, 0.0) + float(stop) - float(start)
    return max(held_out_names, key=lambda k: held_out_names[k])


def _make_piece(
    note_ticks: np.ndarray,
    metre: int,
    downbeats: IntArray,
    tempo_bpm: float,
    chords: list[tuple[int, str]] | None,
    key: str | None,
) -> Piece:
    """A piece from rows of onset and duration in ticks, family and pitch, silent bars at both ends cut off."""
    onset = np.round(note_ticks[:, 0]).astype(np.int64)
    onset = np.maximum(onset, 0)
    starts = fill_bar_starts(downbeats, metre, int(onset.max()) // TICKS)
    starts = starts[np.searchsorted(starts * TICKS, onset.min(), side="right") - 1 :]
    last = int(np.searchsorted(starts * TICKS, onset.max(), side="right"))
    starts, beats = starts[:last], np.diff(starts[: last + 1])
    bar = np.searchsorted(starts * TICKS, onset, side="right") - 1
    length = np.maximum(np.round(note_ticks[:, 1]).astype(np.int64), 1)
    notes = np.stack([bar, onset - starts[bar] * TICKS, note_ticks[:, 2], note_ticks[:, 3], length], 1).astype(np.int64)
    notes = np.unique(notes, axis=0)
    shift = key_shift(notes) if key is None else shift_of_key(key)
    rows = estimate_chords(notes, beats) if chords is None else chord_rows(chords, starts, beats)
    return Piece(metre, tempo_bpm, shift, beats, notes, rows)


def fingerprint(piece: Piece) -> frozenset[int]:
    """Hashes of the top line's intervals over eight notes, invariant to key and note durations."""
    pitched = piece.notes[piece.notes[:, 2] != DRUMS]
    if len(pitched) < 16:
        pitched = piece.notes
    moment = pitched[:, 0] * 1000 + pitched[:, 1]
    pitched = pitched[np.argsort(moment, kind="stable")]
    top = np.maximum.reduceat(pitched[:, 3], np.unique(np.sort(moment), return_index=True)[1])
    steps = np.diff(top)
    return frozenset(hash(tuple(steps[i : i + 7].tolist())) for i in range(len(steps) - 6))


def near_duplicates(entries: list[Entry], min_overlap: float = 0.2) -> dict[str, str]:
    """Each song with the first song, by name, of its group of near-duplicates.

    Two songs are near-duplicates where their fingerprints share more than `min_overlap` of the smaller set.
    """
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
            if count > min_overlap * min(len(marks), len(prints[other])) and count >= 8:
                first, second = sorted((head(song), head(other)))
                family[second] = first
    return {song: head(song) for song in prints}


def held_out(entries: list[Entry], share: float = 0.06, bands: float = 0.16) -> list[str]:
    """The names of the pieces to test on: a hashed share of the groups of near-duplicates, main versions only.

    Bands are few, so a larger share of them is held out. Groove, used for its drums alone, is not tested on.
    """
    family = near_duplicates(entries)
    chosen = []
    for entry in entries:
        index = int(hashlib.sha256(family.get(entry.song, "").encode()).hexdigest()[:8], 16) / 2**32
        wanted = {"groove": 0.0, **dict.fromkeys(BANDS, bands)}.get(entry.source, share)
        if index < wanted and entry.name.partition("-v")[0] == entry.name:
            chosen.append(entry.name)
    return chosen


def train_test_split(entries: list[Entry], held_out_names: Collection[str]) -> tuple[list[Entry], list[Entry]]:
    """The training pieces and the held-out ones; other versions of a held-out song are in neither."""
    names = set(held_out_names)
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
    """The entries that `save` wrote."""
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
