"""Operations on scores: replace, remove and merge tracks, transpose."""

from dataclasses import replace

from models.core.types import Grid, Note, Score, Track
from models.symbolic.harmony import ROOTS


def with_track(score: Score, track: Track | None) -> Score:
    """The score with `track` in place of its track of that name; unchanged for None."""
    return score if track is None else Score((*without_track(score, track.name).tracks, track))


def without_track(score: Score, name: str) -> Score:
    """The score without the track of that name."""
    return Score(tuple(t for t in score.tracks if t.name != name))


def merge_scores(first: Score, then: Score) -> Score:
    """Both scores as one: tracks of one name become one track, on the first one's instrument."""
    tracks = {t.name: t for t in first.tracks}
    for track in then.tracks:
        known = tracks.get(track.name)
        tracks[track.name] = track if known is None else _merged_track(known, track)
    return Score(tuple(tracks.values()))


def _merged_track(track: Track, more: Track) -> Track:
    notes: list[Note] = sorted((*track.notes, *more.notes), key=lambda n: (n.onset_s, n.pitch))
    return Track(track.name, track.program, track.is_drum, tuple(notes))


def transpose_score(score: Score, grid: Grid, semitones: int) -> tuple[Score, Grid]:
    """Score and grid transposed; drums stay, and notes outside the MIDI range move by octaves into it."""
    tracks = tuple(
        t if t.is_drum else replace(t, notes=tuple(_transposed_note(n, semitones) for n in t.notes))
        for t in score.tracks
    )
    chords = tuple(_transposed_label(chord, semitones) for chord in grid.chords)
    return Score(tracks), replace(grid, key=_transposed_label(grid.key, semitones), chords=chords)


def _transposed_note(note: Note, semitones: int) -> Note:
    pitch = note.pitch + semitones
    return replace(note, pitch=pitch - 12 if pitch > 127 else pitch + 12 if pitch < 0 else pitch)


def _transposed_label(label: str, semitones: int) -> str:
    root, colon, rest = label.partition(":")
    return f"{ROOTS[(ROOTS.index(root) + semitones) % 12]}{colon}{rest}" if root in ROOTS else label
