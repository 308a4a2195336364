"""The project's own song, written and synthesised by our code: what is in it is known, note by note."""

from models.synthesis.example_song.singer import PitchContour
from models.synthesis.example_song.song import ExampleSong, example_song

__all__ = ["ExampleSong", "PitchContour", "example_song"]
