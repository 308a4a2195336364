"""The project's own song: written and synthesised by our code, with known stems, notes, beats, key, chords and pitch."""

from models.example_song.singer import PitchContour
from models.example_song.song import ExampleSong, example_song

__all__ = ["ExampleSong", "PitchContour", "example_song"]
