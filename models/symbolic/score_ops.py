"""Scores put together and taken apart, track by track."""

from dataclasses import replace

from models.core.types import Grid, Note, Score, Track
from models.symbolic.harmony import ROOTS


def with_track(score: Score, track: Track | None) -> Score:
    """The score with a track of that name put in place of its own; unchanged for None."""
    return score if track is None else Score((*without(score, track.name).tracks, track))


def without(score: Score, name: str) -> Score:
    """The score less the track of that name."""
    return Score(tuple(t for t in score.tracks if t.name != name))


def joined(first: Score, then: Score) -> Score:
    """Both scores as one: tracks of one name become one track, on the first one's instrument.

    >>> a = Score((Track("bass", 33, False, (Note(0.0, 1.0, 40, 90),)),))
    >>> b = Score((Track("bass", 0, False, (Note(4.0, 1.0, 43, 90),)), Track("piano", 0, False, ())))
    >>> [(t.name, t.program, len(t.notes)) for t in joined(a, b).tracks]
    [('bass', 33, 2), ('piano', 0, 0)]
    """
    tracks = {t.name: t for t in first.tracks}
    for track in then.tracks:
        known = tracks.get(track.name)
        tracks[track.name] = track if known is None else _longer(known, track)
    return Score(tuple(tracks.values()))


def _longer(track: Track, more: Track) -> Track:
    notes: list[Note] = sorted((*track.notes, *more.notes), key=lambda n: (n.onset_s, n.pitch))
    return Track(track.name, track.program, track.is_drum, tuple(notes))


def transposed(score: Score, grid: Grid, semitones: int) -> tuple[Score, Grid]:
    """Both in another key; drums stay, and notes that would leave the keyboard move by octaves to stay on it.

    >>> band = Score((Track("bass", 33, False, (Note(0.0, 1.0, 40, 90),)),))
    >>> moved, grid = transposed(band, Grid((), (), 120.0, 4, "A:min", ("A:min", "N")), 5)
    >>> moved.tracks[0].notes[0].pitch, grid.key, grid.chords
    (45, 'D:min', ('D:min', 'N'))
    """
    tracks = tuple(
        t if t.is_drum else replace(t, notes=tuple(_moved(n, semitones) for n in t.notes)) for t in score.tracks
    )
    chords = tuple(_relabelled(chord, semitones) for chord in grid.chords)
    return Score(tracks), replace(grid, key=_relabelled(grid.key, semitones), chords=chords)


def _moved(note: Note, semitones: int) -> Note:
    pitch = note.pitch + semitones
    return replace(note, pitch=pitch - 12 if pitch > 127 else pitch + 12 if pitch < 0 else pitch)


def _relabelled(label: str, semitones: int) -> str:
    root, colon, rest = label.partition(":")
    return f"{ROOTS[(ROOTS.index(root) + semitones) % 12]}{colon}{rest}" if root in ROOTS else label
