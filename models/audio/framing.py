"""Streaming analysis of a source in mono: resampled blocks, overlapping frames, magnitude spectrograms, levels."""

from collections.abc import Iterator

import numpy as np
import soxr

from models.core.dtypes import DoubleArray, FloatArray
from models.core.types import Source

Mono = FloatArray
"""Mono audio, shape (frames,)."""


def mono_blocks(source: Source, sample_rate: int, block_s: float = 10.0) -> Iterator[Mono]:
    """The mean of the channels, resampled to `sample_rate` Hz; blocks of about `block_s` seconds.

    Together the blocks have `ceil(frames * sample_rate / source.sample_rate)` frames, give or take one.
    """
    step = max(int(block_s * source.sample_rate), 1)
    same = source.sample_rate == sample_rate
    stream = None if same else soxr.ResampleStream(source.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
    for start in range(0, source.frames, step):
        stop = min(start + step, source.frames)
        block = source.read(start, stop).mean(axis=0, dtype=np.float32)
        if stream is not None:
            block = stream.resample_chunk(block, last=stop == source.frames)
        if block.size:
            yield block


def frame_windows(blocks: Iterator[Mono], length: int, hop: int, lead: int = 0) -> Iterator[Mono]:
    """Frames of `length` samples every `hop` samples, the first starting `lead` samples before the audio.

    Zero-padded outside the audio; the last frame is the last that starts before its end. Yields copies.
    """
    buffer = np.zeros(lead, np.float32)
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        count = max((len(buffer) - length) // hop + 1, 0)
        for i in range(count):
            yield buffer[i * hop : i * hop + length].copy()
        buffer = buffer[count * hop :]
    while len(buffer):
        yield np.pad(buffer[:length], (0, max(length - len(buffer), 0)))
        buffer = buffer[hop:]


def magnitudes(source: Source, sample_rate: int, window: int, hop: int) -> Iterator[FloatArray]:
    """The magnitude spectrogram of a source at `sample_rate`, block by block. Shape: (frames, window // 2 + 1).

    Frame i is centred at sample i * hop (Hann window; a full-scale sine has magnitude 1); there are
    about `1 + duration * sample_rate / hop` frames in all.
    """
    taper = np.hanning(window + 1)[:-1].astype(np.float32)
    taper /= taper.sum() / 2
    group = 512
    buffer = np.zeros(window // 2, np.float32)

    def spectra(samples: Mono, count: int) -> FloatArray:
        rows = np.lib.stride_tricks.sliding_window_view(samples, window)[: count * hop : hop]
        return np.abs(np.fft.rfft(rows * taper, axis=1)).astype(np.float32)

    for block in mono_blocks(source, sample_rate):
        buffer = np.concatenate([buffer, block])
        while (count := min((len(buffer) - window) // hop + 1, group)) > 0:
            yield spectra(buffer, count)
            buffer = buffer[count * hop :]
    rest = max(len(buffer) - window // 2, 0) // hop + 1
    yield spectra(np.pad(buffer, (0, window + rest * hop - len(buffer))), rest)


def levels_db(source: Source, hop_s: float, frames: int) -> DoubleArray:
    """RMS level of each hop centred at a multiple of `hop_s`, in dBFS (-120 for silence). Shape: (frames,)."""
    level = np.zeros(frames)
    step = max(int(10 / hop_s), 1)
    for first in range(0, frames, step):
        edges = np.arange(first, min(first + step, frames) + 1) - 0.5
        samples = np.round(edges * hop_s * source.sample_rate).astype(int)
        mono = source.read(samples[0], samples[-1]).mean(axis=0, dtype=np.float64)
        energy = np.concatenate([[0.0], np.cumsum(mono**2)])[samples - samples[0]]
        level[first : first + step] = np.diff(energy) / np.maximum(np.diff(samples), 1)
    return np.asarray(10 * np.log10(level + 1e-12))


def velocity(level_db: float, loud_db: float) -> int:
    """MIDI velocity proportional to amplitude: 100 at `loud_db`, the stem's loud level; clipped to 8-127."""
    return int(np.clip(round(100 * 10 ** ((level_db - loud_db) / 20)), 8, 127))
