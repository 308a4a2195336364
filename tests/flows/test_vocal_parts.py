"""Who sings what and in which key; the band follows when asked to."""

import numpy as np
import pytest

from flows.options import RemixOptions
from flows.vocal_parts import VocalParts, notes_on_voice, transposed_band, vocal_parts
from models.core.types import Contour, Grid, Note, Score, Track
from tasks.cache.store import Store
from tasks.stages.transpose import transpose


def contour(*pitches: float) -> Contour:
    return Contour(
        tuple(float(440 * 2 ** ((p - 69) / 12)) for p in pitches for _ in range(100)), 0.01, float(len(pitches))
    )


def parts(song: Contour, sings: bool = True, shift: int | None = None, **chosen: object) -> VocalParts:
    options = RemixOptions(**{"voice": "lj", "key_shift": shift} | chosen)  # type: ignore[arg-type]
    return vocal_parts(song, sings, options, options.stage_settings())


def test_a_low_song_moves_up_an_octave_and_the_band_stays() -> None:
    found = parts(contour(43, 45, 47), True, transpose_backing=True)
    assert (found.lead, found.behind, found.shift, found.band_shift) == ("lj", "none", 12, 0)


def test_a_key_that_was_asked_for_is_taken_and_the_band_follows_when_told_to() -> None:
    low = contour(57, 60)
    assert parts(low, True, 5).band_shift == 0
    assert parts(low, True, 5, transpose_backing=True).band_shift == 5
    assert parts(low, True, 7, transpose_backing=True).band_shift == -5


def test_the_backing_singers_get_the_leads_voice_another_or_stay() -> None:
    song = contour(60, 64)
    assert parts(song, True, 0, backing_voice="same").behind == "lj"
    assert parts(song, True, 0, backing_voice="world").behind == "world"
    assert parts(song, True, 0).behind == "none"
    assert parts(song, False, 0, backing_voice="world").behind == "none"


def test_the_listener_is_told_of_the_shift_and_of_notes_never_heard() -> None:
    told = " ".join(notes_on_voice(contour(60, 110), parts(contour(60, 110), True, 5)))
    assert "transposed 5 semitones up" in told
    assert "G8 (1.0 s)" in told
    assert "not the lead's any more" in told
    assert not notes_on_voice(contour(60, 64), parts(contour(60, 64), True, 0))


def test_whoever_sings_is_named_with_the_ground_also_behind_the_songs_own_singer() -> None:
    song = contour(60, 64)
    behind = parts(song, True, 0, voice="none", backing_voice="world")
    assert [(s.part, s.voice, s.ground) for s in behind.singers] == [("backing", "world", "no one's voice")]
    assert notes_on_voice(song, behind) == ("The backing vocals are converted to world (no one's voice).",)
    both = parts(song, True, 0, backing_voice="world")
    assert [(s.part, s.voice) for s in both.singers] == [("lead", "lj"), ("backing", "world")]
    assert not parts(song, True, 0, voice="none").singers
    assert not parts(song, False, 0, backing_voice="world").singers


def test_the_band_moves_in_notes_and_sound_and_its_drums_do_not(home: object) -> None:
    from models.analysis.f0 import track_f0
    from models.analysis.settings import F0Settings
    from models.core.types import Stems

    rate = 22_050
    tone = (0.3 * np.sin(2 * np.pi * 220 * np.arange(rate) / rate)).astype(np.float32)
    clip = Store().put(iter([np.stack([tone, tone])]), rate)
    bar = Score((Track("bass", 33, False, (Note(0, 1, 40, 90),)), Track("drums", 0, True, (Note(0, 1, 36, 90),))))
    grid = Grid((0.0, 0.5), (0.0,), 120, 4, "A:min", ("A:min", "N"))
    stems = Stems(clip, clip, clip, clip)
    _, score, changed = transposed_band(stems, bar, grid, 3, with_stems=False)
    assert [t.notes[0].pitch for t in score.tracks] == [43, 36]
    assert (changed.key, changed.chords) == ("C:min", ("C:min", "N"))
    higher = transpose.fn(clip, 3)
    assert (higher.frames, higher.channels) == (clip.frames, clip.channels)
    hz = track_f0(Store().source(higher), F0Settings()).hz
    assert np.median(hz[hz > 0]) == pytest.approx(220 * 2 ** (3 / 12), rel=0.01)
