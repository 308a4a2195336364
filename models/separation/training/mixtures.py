"""Training mixes for separators: pieces with known stems, drawn, changed and remixed at random, seeded.

A `Piece` is anything with true stems: a song, a rendering of MIDI, or one voice alone. `mixture` takes stems from one
piece or several, changes each (speed, gain, tone, sides, room) and returns what the network has to find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from models.core.types import Samples

Stem = NDArray[np.int16]
"""A stored stem, shape (channels, frames), 1 or 2 channels."""
SOURCES = ("drums", "bass", "other", "vocals")
VOICES = ("lead_vocals", "backing_vocals", "room")
RATE = 44100
USUAL_DBFS = {"drums": -19.0, "bass": -20.0, "other": -20.0, "vocals": -19.0}
"""Root mean square of each source in a usual mix, against the others'."""


@dataclass(frozen=True)
class Piece:
    """True stems of one piece, equal in length.

    `stems` holds some of drums, bass, other, lead_vocals, backing_vocals. With `bass_hidden`, `other` holds the bass.
    A `wet` voice is in a room already.
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
    """What mixes are drawn from, by the way each is used.

    `songs` have every stem; `bands` have drums, bass and other; `voices` are dry solo singing or near it; `speech` is
    dry speech, drawn now and then as a voice; `sung` is singing made from speech.
    """

    songs: Sequence[Piece]
    bands: Sequence[Piece]
    voices: Sequence[Piece]
    speech: Sequence[Piece]
    sung: Sequence[Piece] = ()

    def singer(self, rng: np.random.Generator) -> Piece:
        """One voice alone: more often somebody who sings than somebody who speaks or was made to sing."""
        draw = rng.random()
        if draw < 0.5 and self.voices:
            return _pick(self.voices, rng)
        return _pick((self.sung if draw < 0.88 else self.speech) or self.voices, rng)


@dataclass(frozen=True)
class Example:
    """True sources, float32 (sources, 2, frames).

    Where `hidden`, one source is not known apart: `other` then holds the bass too, `lead_vocals` its room too.
    """

    sources: Samples
    hidden: bool


def mixture(library: Library, rng: np.random.Generator, frames: int) -> Example:
    """One training example of the four sources (drums, bass, other, vocals) at 44.1 kHz.

    One in seven is a song as it is, since a few songs are soon known by heart; the others take their drums, their
    harmony and their voice from different pieces, each source being silent now and then, so that none is expected.
    """
    if rng.random() < 1 / 7 or not library.bands:
        return _song_crop(_pick(library.songs, rng), rng, frames)
    sources = np.zeros((4, 2, frames), np.float32)
    harmony = _pick(library.bands if rng.random() < 0.6 else library.songs, rng)
    speed, start = _speed(rng), rng.random()
    for row, stem in ((1, "bass"), (2, "other")):
        if stem in harmony.stems and rng.random() < 0.85:
            sources[row] = crop(harmony.stems[stem], rng, frames, speed, start)
    drummer = harmony if rng.random() < 0.5 else _pick(library.bands if rng.random() < 0.5 else library.songs, rng)
    if "drums" in drummer.stems and rng.random() < 0.88:
        sources[0] = crop(drummer.stems["drums"], rng, frames, speed, start)
    if rng.random() < 0.82:
        sources[3] = voice(library, rng, frames)
    if harmony.bass_hidden:
        _level(sources, (0, 2, 3), rng)
    else:
        _level(sources, (0, 1, 2, 3), rng)
    _change(sources, rng)
    return Example(_scaled(sources, rng), harmony.bass_hidden)


def voice(library: Library, rng: np.random.Generator, frames: int) -> Samples:
    """Somebody singing (seldom speaking), alone, doubled or in a choir, in a random room. Shape: (2, frames)."""
    draw = rng.random()
    if draw < 0.25 or not library.voices:
        return _song_vocals(library, rng, frames)
    if draw < 0.4:
        return _choir(library, rng, frames)
    solo = library.singer(rng)
    dry = crop(solo.stems["lead_vocals"], rng, frames, _speed(rng), None)
    if rng.random() < 0.25:
        dry = dry + 0.5 * crop(solo.stems["lead_vocals"], rng, frames, _speed(rng), None)[::-1]
    return in_room(dry, rng) if rng.random() < 0.75 else dry


def _song_vocals(library: Library, rng: np.random.Generator, frames: int) -> Samples:
    """All vocals of a song, or one kind of them, where they sound. Shape: (2, frames)."""
    song = _pick(library.songs, rng)
    kinds = [kind for kind in ("lead_vocals", "backing_vocals") if kind in song.stems]
    if rng.random() < 0.4:
        kinds = [kinds[int(rng.integers(len(kinds)))]]
    for _ in range(5):
        speed, start = _speed(rng), rng.random()
        vocals = np.sum([crop(song.stems[kind], rng, frames, speed, start) for kind in kinds], axis=0)
        if np.abs(vocals[:, ::97]).mean() > 0.004:
            break
    return np.asarray(vocals, np.float32)


def vocal_mixture(library: Library, rng: np.random.Generator, frames: int) -> Example:
    """One training example of lead vocals, backing vocals and the lead's room. Shape: (3, 2, frames)."""
    sources = np.zeros((3, 2, frames), np.float32)
    draw = rng.random()
    hidden = draw < 0.4
    if hidden:
        song = _pick([s for s in library.songs if "backing_vocals" in s.stems] or library.songs, rng)
        speed, start = _speed(rng), rng.random() if rng.random() < 0.7 else None
        sources[0] = crop(song.stems["lead_vocals"], rng, frames, speed, start)
        if "backing_vocals" in song.stems and rng.random() < 0.8:
            sources[1] = crop(song.stems["backing_vocals"], rng, frames, speed, start)
    else:
        solo = library.singer(rng)
        hidden = solo.wet
        lead = crop(solo.stems["lead_vocals"], rng, frames, _speed(rng), None)
        sources[0] = lead.mean(axis=0)
        if not solo.wet and rng.random() < 0.7:
            wet = in_room(sources[0], rng)
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
    return Example(_scaled(sources, rng), hidden)


def _choir(library: Library, rng: np.random.Generator, frames: int) -> Samples:
    """Two to five voices spread over the sides, in one room. Shape: (2, frames)."""
    total = np.zeros((2, frames), np.float32)
    same = library.singer(rng) if rng.random() < 0.5 else None
    start = rng.random()
    for _ in range(int(rng.integers(2, 6))):
        singer = same or library.singer(rng)
        part = crop(singer.stems["lead_vocals"], rng, frames, _speed(rng), start if same else None).mean(axis=0)
        angle = rng.uniform(0, np.pi / 2)
        total += np.stack([np.cos(angle) * part, np.sin(angle) * part]).astype(np.float32)
    return in_room(total, rng) if rng.random() < 0.8 else total


def crop(stem: Stem, rng: np.random.Generator, frames: int, speed: float, start: float | None) -> Samples:
    """A passage of a stem as stereo float32, played at `speed` (a factor; pitch follows). Shape: (2, frames).

    `start` is where in the stem, 0..1, so that stems of one piece stay together; None looks for a place with sound.
    """
    need = int(frames * speed) + 2
    room = max(stem.shape[1] - need, 0)
    at = int((rng.random() if start is None else start) * room)
    for _ in range(6 if start is None else 0):
        if np.abs(stem[:, at : at + need : 97]).mean(dtype=np.float32) > 150:
            break
        at = int(rng.random() * room)
    part: Samples = stem[:, at : at + need].astype(np.float32) / np.float32(32768)
    if part.shape[1] < need:
        part = np.pad(part, ((0, 0), (0, need - part.shape[1])))
    if speed != 1:
        places = np.arange(frames) * speed
        before = places.astype(np.int32)
        after = (places - before).astype(np.float32)
        part = part[:, before] * (1 - after) + part[:, before + 1] * after
    return np.broadcast_to(part[:, :frames], (2, frames)).copy()


def in_room(dry: Samples, rng: np.random.Generator) -> Samples:
    """The sound in a random room, sometimes with echoes: the dry sound is kept. Shape: (2, frames) -> (2, frames)."""
    dry = np.broadcast_to(dry, (2, dry.shape[-1]))
    response = room_response(rng)
    size = fft.next_fast_len(dry.shape[1] + response.shape[1] - 1, real=True)
    wet = fft.irfft(fft.rfft(dry, size) * fft.rfft(response, size), size)[:, : dry.shape[1]]
    return np.asarray(dry + wet, np.float32)


def room_response(rng: np.random.Generator) -> Samples:
    """A room without its direct sound: decaying noise darker with time, sparse early reflections, perhaps an echo.

    Reverberation time 0.2 s to 2.5 s. Shape: (2, up to 2.5 s).
    """
    reverb_s = float(np.exp(rng.uniform(np.log(0.2), np.log(2.5))))
    frames = int(RATE * min(reverb_s, 2.5))
    time = np.arange(frames) / RATE
    noise = rng.standard_normal((2, frames))
    dark = np.stack([np.convolve(row, np.ones(8) / 8, "same") for row in noise]) * 2
    fade = np.exp(-time / (0.4 * reverb_s))
    tail = (noise * fade + dark * (1 - fade)) * np.exp(-6.9 * time / reverb_s)
    tail[:, : int(RATE * rng.uniform(0.0, 0.04))] *= 0.05
    tail /= np.sqrt(np.square(tail).sum(axis=1, keepdims=True)) + 1e-9
    for _ in range(int(rng.integers(0, 8))):
        tail[rng.integers(2), rng.integers(min(int(0.004 * RATE), frames - 1), min(int(0.06 * RATE), frames))] += (
            rng.uniform(-0.5, 0.5)
        )
    tail *= 10 ** (rng.uniform(-18, -1) / 20)
    if rng.random() < 0.25:
        delay = int(RATE * rng.uniform(0.1, 0.6))
        echo = np.zeros((2, max(frames, 3 * delay + 1)))
        echo[:, :frames] = tail
        for count in (1, 2, 3):
            echo[(count + int(rng.integers(2))) % 2, count * delay] += 0.5**count * rng.uniform(0.4, 1)
        tail = echo
    return np.asarray(tail, np.float32)


def _song_crop(song: Piece, rng: np.random.Generator, frames: int) -> Example:
    """A passage of a song as it is, at a random speed."""
    speed, start = _speed(rng), rng.random()
    sources = np.zeros((4, 2, frames), np.float32)
    rows = {"drums": 0, "bass": 1, "other": 2, "lead_vocals": 3, "backing_vocals": 3}
    for stem, row in rows.items():
        if stem in song.stems:
            sources[row] += crop(song.stems[stem], rng, frames, speed, start)
    sources *= np.float32(10) ** (rng.uniform(-4, 4, (4, 1, 1)).astype(np.float32) / 20)
    _change(sources, rng)
    return Example(_scaled(sources, rng), song.bass_hidden)


def _level(sources: Samples, rows: Sequence[int], rng: np.random.Generator) -> None:
    """Bring the sources to usual loudness against each other, ±7 dB, in place."""
    for row in rows:
        sources[row] = at_usual_level(sources[row], SOURCES[row], rng, 7.0)


def at_usual_level(stem: Samples, source: str, rng: np.random.Generator, spread_db: float) -> Samples:
    """A stem as loud as that source usually is in a song, give or take `spread_db`; silence stays silence."""
    level = float(np.sqrt(np.square(stem).mean()))
    if level <= 1e-4:
        return stem
    louder: Samples = stem * np.float32(10 ** ((USUAL_DBFS[source] + rng.uniform(-spread_db, spread_db)) / 20) / level)
    return louder


def _change(sources: Samples, rng: np.random.Generator) -> None:
    """Tilt each source's tone, swap its sides, narrow or widen it, turn its phase, in place."""
    for row in range(len(sources)):
        if rng.random() < 0.5:
            sources[row] = sources[row, ::-1].copy()
        if rng.random() < 0.5:
            sources[row] *= -1
        if rng.random() < 0.3:
            sides = (sources[row, :1] - sources[row, 1:]) * np.float32(rng.uniform(-0.5, 0.2))
            sources[row] += np.concatenate([sides, -sides])
        if rng.random() < 0.6:
            sources[row] = _toned(sources[row], rng)


def _toned(wave: Samples, rng: np.random.Generator) -> Samples:
    """A smooth random equaliser, ±6 dB at six frequencies. Shape: (2, frames) -> (2, frames)."""
    size = fft.next_fast_len(wave.shape[1], real=True)
    spectrum = fft.rfft(wave, size)
    hertz = np.linspace(0, RATE / 2, spectrum.shape[1], dtype=np.float32) + 1
    curve = np.interp(np.log(hertz), np.log([40, 150, 500, 1800, 5000, 12000]), rng.uniform(-6, 6, 6))
    gains = (10 ** (curve / 20)).astype(np.float32)
    return np.asarray(fft.irfft(spectrum * gains, size)[:, : wave.shape[1]], np.float32)


def _scaled(sources: Samples, rng: np.random.Generator) -> Samples:
    """The sources with their sum below full scale."""
    peak = float(np.abs(sources.sum(axis=0)).max())
    scaled: Samples = sources * np.float32(rng.uniform(0.5, 1.0) / max(peak, 0.05))
    return scaled


def _pick(pieces: Sequence[Piece], rng: np.random.Generator) -> Piece:
    return pieces[int(rng.integers(len(pieces)))]


def _speed(rng: np.random.Generator) -> float:
    """A speed for a passage: as it is, or up to four semitones up or down."""
    return 1.0 if rng.random() < 0.35 else float(2 ** (rng.uniform(-4, 4) / 12))
