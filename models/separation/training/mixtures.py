"""Random training mixes for separators: stems of one or several multitracks, augmented and remixed, seeded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.core.types import Samples
from models.separation.training.augmentation import (
    add_reverb,
    at_usual_level,
    augment,
    crop,
    random_speed,
    scale_below_full_scale,
)
from models.separation.training.multitracks import SOURCES, Library, Multitrack, random_multitrack


@dataclass(frozen=True)
class Example:
    """Reference sources of a mix, float32 (sources, 2, frames).

    Where `hidden`, one source is not isolated: `other` then contains the bass, `lead_vocals` its reverberation.
    """

    sources: Samples
    hidden: bool


def mixture(library: Library, rng: np.random.Generator, frames: int) -> Example:
    """One training example of the four sources (drums, bass, other, vocals) at 44.1 kHz.

    One in seven is a passage of one song, since training on few songs overfits; the others take drums, harmony and
    voice from different multitracks, each source being silent now and then.
    """
    if rng.random() < 1 / 7 or not library.bands:
        return _song_crop(random_multitrack(library.songs, rng), rng, frames)
    sources = np.zeros((4, 2, frames), np.float32)
    harmony = random_multitrack(library.bands if rng.random() < 0.6 else library.songs, rng)
    speed, start = random_speed(rng), rng.random()
    for row, stem in ((1, "bass"), (2, "other")):
        if stem in harmony.stems and rng.random() < 0.85:
            sources[row] = crop(harmony.stems[stem], rng, frames, speed, start)
    drummer = harmony
    if rng.random() >= 0.5:
        drummer = random_multitrack(library.bands if rng.random() < 0.5 else library.songs, rng)
    if "drums" in drummer.stems and rng.random() < 0.88:
        sources[0] = crop(drummer.stems["drums"], rng, frames, speed, start)
    if rng.random() < 0.82:
        sources[3] = voice(library, rng, frames)
    if harmony.bass_hidden:
        _randomise_levels(sources, (0, 2, 3), rng)
    else:
        _randomise_levels(sources, (0, 1, 2, 3), rng)
    augment(sources, rng)
    return Example(scale_below_full_scale(sources, rng), harmony.bass_hidden)


def voice(library: Library, rng: np.random.Generator, frames: int) -> Samples:
    """Vocals: of a song, a choir, or a solo voice, sometimes doubled, mostly with reverberation. Shape: (2, frames)."""
    draw = rng.random()
    if draw < 0.25 or not library.voices:
        return _song_vocals(library, rng, frames)
    if draw < 0.4:
        return _choir(library, rng, frames)
    solo = library.solo_voice(rng)
    dry = crop(solo.stems["lead_vocals"], rng, frames, random_speed(rng), None)
    if rng.random() < 0.25:
        dry = dry + 0.5 * crop(solo.stems["lead_vocals"], rng, frames, random_speed(rng), None)[::-1]
    return add_reverb(dry, rng) if rng.random() < 0.75 else dry


def _song_vocals(library: Library, rng: np.random.Generator, frames: int) -> Samples:
    """A passage of all vocals of a song, or of lead or backing alone, that is not silent. Shape: (2, frames)."""
    song = random_multitrack(library.songs, rng)
    kinds = [kind for kind in ("lead_vocals", "backing_vocals") if kind in song.stems]
    if rng.random() < 0.4:
        kinds = [kinds[int(rng.integers(len(kinds)))]]
    for _ in range(5):
        speed, start = random_speed(rng), rng.random()
        vocals = np.sum([crop(song.stems[kind], rng, frames, speed, start) for kind in kinds], axis=0)
        if np.abs(vocals[:, ::97]).mean() > 0.004:
            break
    return np.asarray(vocals, np.float32)


def vocal_mixture(library: Library, rng: np.random.Generator, frames: int) -> Example:
    """One training example of lead vocals, backing vocals and the lead's reverberation. Shape: (3, 2, frames)."""
    sources = np.zeros((3, 2, frames), np.float32)
    draw = rng.random()
    hidden = draw < 0.4
    if hidden:
        song = random_multitrack([s for s in library.songs if "backing_vocals" in s.stems] or library.songs, rng)
        speed, start = random_speed(rng), rng.random() if rng.random() < 0.7 else None
        sources[0] = crop(song.stems["lead_vocals"], rng, frames, speed, start)
        if "backing_vocals" in song.stems and rng.random() < 0.8:
            sources[1] = crop(song.stems["backing_vocals"], rng, frames, speed, start)
    else:
        solo = library.solo_voice(rng)
        hidden = solo.wet
        lead = crop(solo.stems["lead_vocals"], rng, frames, random_speed(rng), None)
        sources[0] = lead.mean(axis=0)
        if not solo.wet and rng.random() < 0.7:
            wet = add_reverb(sources[0], rng)
            sources[2] = wet - sources[0]
        if rng.random() < 0.6:
            sources[1] = _choir(library, rng, frames)
    for row in (0, 1):
        gain = 10 ** (rng.uniform(-6, 6) / 20)
        sources[row] *= gain
        if row == 0:
            sources[2] *= gain
    if rng.random() < 0.08:
        sources[0] = sources[2] = 0
    return Example(scale_below_full_scale(sources, rng), hidden)


def _choir(library: Library, rng: np.random.Generator, frames: int) -> Samples:
    """Two to five voices with random pan, mostly in one room. Shape: (2, frames)."""
    total = np.zeros((2, frames), np.float32)
    same = library.solo_voice(rng) if rng.random() < 0.5 else None
    start = rng.random()
    for _ in range(int(rng.integers(2, 6))):
        singer = same or library.solo_voice(rng)
        part = crop(singer.stems["lead_vocals"], rng, frames, random_speed(rng), start if same else None).mean(axis=0)
        angle = rng.uniform(0, np.pi / 2)
        total += np.stack([np.cos(angle) * part, np.sin(angle) * part]).astype(np.float32)
    return add_reverb(total, rng) if rng.random() < 0.8 else total


def _song_crop(song: Multitrack, rng: np.random.Generator, frames: int) -> Example:
    """A passage of one song with its own stems aligned, at a random speed and with random gains of ±4 dB."""
    speed, start = random_speed(rng), rng.random()
    sources = np.zeros((4, 2, frames), np.float32)
    rows = {"drums": 0, "bass": 1, "other": 2, "lead_vocals": 3, "backing_vocals": 3}
    for stem, row in rows.items():
        if stem in song.stems:
            sources[row] += crop(song.stems[stem], rng, frames, speed, start)
    sources *= np.float32(10) ** (rng.uniform(-4, 4, (4, 1, 1)).astype(np.float32) / 20)
    augment(sources, rng)
    return Example(scale_below_full_scale(sources, rng), song.bass_hidden)


def _randomise_levels(sources: Samples, rows: Sequence[int], rng: np.random.Generator) -> None:
    """Scale the sources to their usual levels ±7 dB, in place."""
    for row in rows:
        sources[row] = at_usual_level(sources[row], SOURCES[row], rng, 7.0)
