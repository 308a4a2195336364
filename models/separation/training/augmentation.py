"""Random augmentation of stems: passage, speed, level, polarity, channel swap, stereo width, equaliser, reverberation.

Every function draws from the generator it is given, so equal seeds give equal samples.
"""

import numpy as np
from scipy import fft

from models.core.types import Samples
from models.separation.training.multitracks import SAMPLE_RATE, Stem

USUAL_DBFS = {"drums": -19.0, "bass": -20.0, "other": -20.0, "vocals": -19.0}
"""Typical RMS level of each source in a mix."""


def crop(stem: Stem, rng: np.random.Generator, frames: int, speed: float, start: float | None) -> Samples:
    """A passage of a stem as stereo float32, resampled to `speed` (a factor; pitch follows). Shape: (2, frames).

    `start` is the relative position in the stem, 0..1, so that the stems of one multitrack stay aligned; with None up
    to seven positions are drawn until one is not silent.
    """
    need = int(frames * speed) + 2
    last = max(stem.shape[1] - need, 0)
    at = int((rng.random() if start is None else start) * last)
    for _ in range(6 if start is None else 0):
        if np.abs(stem[:, at : at + need : 97]).mean(dtype=np.float32) > 150:
            break
        at = int(rng.random() * last)
    part: Samples = stem[:, at : at + need].astype(np.float32) / np.float32(32768)
    if part.shape[1] < need:
        part = np.pad(part, ((0, 0), (0, need - part.shape[1])))
    if speed != 1:
        positions = np.arange(frames) * speed
        before = positions.astype(np.int32)
        after = (positions - before).astype(np.float32)
        part = part[:, before] * (1 - after) + part[:, before + 1] * after
    return np.broadcast_to(part[:, :frames], (2, frames)).copy()


def add_reverb(dry: Samples, rng: np.random.Generator) -> Samples:
    """The dry sound plus its convolution with a random room response. Shape: (2, frames) -> (2, frames)."""
    dry = np.broadcast_to(dry, (2, dry.shape[-1]))
    response = random_room_response(rng)
    size = fft.next_fast_len(dry.shape[1] + response.shape[1] - 1, real=True)
    wet = fft.irfft(fft.rfft(dry, size) * fft.rfft(response, size), size)[:, : dry.shape[1]]
    return np.asarray(dry + wet, np.float32)


def random_room_response(rng: np.random.Generator) -> Samples:
    """A room impulse response without the direct sound: low-passed decaying noise, early reflections, maybe an echo.

    Reverberation time (RT60) 0.2 s to 2.5 s. Shape: (2, up to 2.5 s).
    """
    reverb_s = float(np.exp(rng.uniform(np.log(0.2), np.log(2.5))))
    frames = int(SAMPLE_RATE * min(reverb_s, 2.5))
    time = np.arange(frames) / SAMPLE_RATE
    noise = rng.standard_normal((2, frames))
    dark = np.stack([np.convolve(row, np.ones(8) / 8, "same") for row in noise]) * 2
    fade = np.exp(-time / (0.4 * reverb_s))
    tail = (noise * fade + dark * (1 - fade)) * np.exp(-6.9 * time / reverb_s)
    tail[:, : int(SAMPLE_RATE * rng.uniform(0.0, 0.04))] *= 0.05
    tail /= np.sqrt(np.square(tail).sum(axis=1, keepdims=True)) + 1e-9
    for _ in range(int(rng.integers(0, 8))):
        earliest, latest = min(int(0.004 * SAMPLE_RATE), frames - 1), min(int(0.06 * SAMPLE_RATE), frames)
        tail[rng.integers(2), rng.integers(earliest, latest)] += rng.uniform(-0.5, 0.5)
    tail *= 10 ** (rng.uniform(-18, -1) / 20)
    if rng.random() < 0.25:
        delay = int(SAMPLE_RATE * rng.uniform(0.1, 0.6))
        echo = np.zeros((2, max(frames, 3 * delay + 1)))
        echo[:, :frames] = tail
        for count in (1, 2, 3):
            echo[(count + int(rng.integers(2))) % 2, count * delay] += 0.5**count * rng.uniform(0.4, 1)
        tail = echo
    return np.asarray(tail, np.float32)


def at_usual_level(stem: Samples, source: str, rng: np.random.Generator, spread_db: float) -> Samples:
    """The stem scaled to its source's usual RMS level, ± up to `spread_db`; silence stays silence."""
    level = float(np.sqrt(np.square(stem).mean()))
    if level <= 1e-4:
        return stem
    louder: Samples = stem * np.float32(10 ** ((USUAL_DBFS[source] + rng.uniform(-spread_db, spread_db)) / 20) / level)
    return louder


def augment(sources: Samples, rng: np.random.Generator) -> None:
    """Swap channels, invert polarity, change stereo width and equalise each source at random, in place."""
    for row in range(len(sources)):
        if rng.random() < 0.5:
            sources[row] = sources[row, ::-1].copy()
        if rng.random() < 0.5:
            sources[row] *= -1
        if rng.random() < 0.3:
            sides = (sources[row, :1] - sources[row, 1:]) * np.float32(rng.uniform(-0.5, 0.2))
            sources[row] += np.concatenate([sides, -sides])
        if rng.random() < 0.6:
            sources[row] = _random_eq(sources[row], rng)


def _random_eq(wave: Samples, rng: np.random.Generator) -> Samples:
    """A random equaliser, ±6 dB at six frequencies. Shape: (2, frames) -> (2, frames)."""
    size = fft.next_fast_len(wave.shape[1], real=True)
    spectrum = fft.rfft(wave, size)
    hertz = np.linspace(0, SAMPLE_RATE / 2, spectrum.shape[1], dtype=np.float32) + 1
    curve = np.interp(np.log(hertz), np.log([40, 150, 500, 1800, 5000, 12000]), rng.uniform(-6, 6, 6))
    gains = (10 ** (curve / 20)).astype(np.float32)
    return np.asarray(fft.irfft(spectrum * gains, size)[:, : wave.shape[1]], np.float32)


def scale_below_full_scale(sources: Samples, rng: np.random.Generator) -> Samples:
    """The sources with one common gain that puts the peak of their sum between -6 and 0 dBFS."""
    peak = float(np.abs(sources.sum(axis=0)).max())
    scaled: Samples = sources * np.float32(rng.uniform(0.5, 1.0) / max(peak, 0.05))
    return scaled


def random_speed(rng: np.random.Generator) -> float:
    """A playback speed: 1 in 35 % of draws, else within ± four semitones."""
    return 1.0 if rng.random() < 0.35 else float(2 ** (rng.uniform(-4, 4) / 12))
