"""Scores put together and taken apart, track by track."""

from models.records import Note, Score, Track


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
