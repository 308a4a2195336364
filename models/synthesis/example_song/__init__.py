"""The project's own song, composed and synthesised here, with ground truth for every stem.

composition   form, harmony, lyrics and notes
phonemes      parameters of the formant synthesizer
singer        formant synthesis of singing
instruments   drums, bass, electric piano, plucked string
song          stems and mix
"""

from models.synthesis.example_song.singer import PitchContour
from models.synthesis.example_song.song import ExampleSong, example_song

__all__ = ["ExampleSong", "PitchContour", "example_song"]
