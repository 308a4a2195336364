"""Multitracks that training mixes are made from: songs, rendered bands and solo voices, by the stems each one has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.core.dtypes import Int16Array

Stem = Int16Array
"""A stored stem, shape (channels, frames), 1 or 2 channels."""
SOURCES = ("drums", "bass", "other", "vocals")
VOICES = ("lead_vocals", "backing_vocals", "room")
SAMPLE_RATE = 44100


@dataclass(frozen=True)
class Multitrack:
    """Isolated stems, equal in length: of a song, a MIDI rendering, or one voice alone.

    `stems` holds some of drums, bass, other, lead_vocals, backing_vocals. With `bass_hidden`, `other` contains the
    bass. A `wet` voice was recorded with reverberation.
    """

    name: str
    stems: Mapping[str, Stem]
    bass_hidden: bool = False
    wet: bool = False

    @property
    def frames(self) -> int:
        return min(int(stem.shape[1]) for stem in self.stems.values())


@dataclass(frozen=True)
class Library:
    """Training material by use.

    `songs` have every stem; `bands` have drums, bass and other; `voices` are dry or nearly dry solo singing; `speech`
    is dry speech; `sung` is singing synthesised from speech.
    """

    songs: Sequence[Multitrack]
    bands: Sequence[Multitrack]
    voices: Sequence[Multitrack]
    speech: Sequence[Multitrack]
    sung: Sequence[Multitrack] = ()

    def solo_voice(self, rng: np.random.Generator) -> Multitrack:
        """A solo voice: half of the draws sing, 38 % are singing synthesised from speech, the rest speak."""
        draw = rng.random()
        if draw < 0.5 and self.voices:
            return random_multitrack(self.voices, rng)
        return random_multitrack((self.sung if draw < 0.88 else self.speech) or self.voices, rng)


def random_multitrack(multitracks: Sequence[Multitrack], rng: np.random.Generator) -> Multitrack:
    """One of the multitracks, uniformly."""
    return multitracks[int(rng.integers(len(multitracks)))]
