"""Metrics of audio, each one pass over its sources in blocks, so that memory does not grow with length."""

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np
from scipy.ndimage import uniform_filter1d

from models.audio.framing import Mono, frame_windows, mono_blocks
from models.core.dtypes import DoubleArray, FloatArray
from models.core.progress import Watch
from models.core.types import Source
from models.report.types import Curve

DoubleArray = DoubleArray

CORRELATION_RATE = 8000
"""Sample rate of correlations and onset envelopes, in hertz."""
LAG_S = 10.0
"""The largest lag of the cross-correlation, either way, in seconds."""
FLOOR_DB = -100.0
"""Level of silence."""
_ONSET_HOP, _ONSET_WINDOW = 40, 256


def decibels(power: float) -> float:
    """A power ratio in dB, not below `FLOOR_DB`.

    >>> decibels(0.01)
    -20.0
    """
    return round(max(10 * float(np.log10(max(power, 1e-30))), FLOOR_DB), 6)


def null_test_db(song: Source, stems: list[Source], watch: Watch) -> float:
    """The residual of the song minus the sum of its stems, in dB relative to the song; lower is better."""
    left = whole = 0.0
    step = 10 * song.sample_rate
    for start in range(0, song.frames, step):
        watch.at(start / song.frames)
        stop = min(start + step, song.frames)
        block = song.read(start, stop)
        residue = block - np.sum([stem.read(start, stop) for stem in stems], axis=0)
        left += float(np.sum(np.square(residue), dtype=np.float64))
        whole += float(np.sum(np.square(block), dtype=np.float64))
    return decibels(left / max(whole, 1e-20))


def vocal_residue_db(lead: Source, backing: Source, watch: Watch) -> float:
    """The lead vocals' leakage into the backing, in dB relative to the vocals themselves.

    In each 8 s the backing's part that is a linear filtering of the vocals, |S_bv|² / S_vv summed over frequency (the
    coherent output power of Bendat and Piersol), less its expected value for independent music.
    """
    rate, size, hop = 16_000, 1024, 512
    taper = np.hanning(size)
    leaked = total = 0.0
    for at, (voice, band) in enumerate(_synchronous_blocks([lead, backing], rate, 8 * rate)):
        watch.at(at * 8 * lead.sample_rate / max(lead.frames, 1))
        v, b = (np.fft.rfft(_frames(x, size, hop) * taper, axis=1) for x in (voice, band))
        level = np.sum(np.abs(v) ** 2, axis=1)
        active = level > 1e-4 * max(float(level.max()), 1e-6)
        if active.sum() < 16:
            continue
        v, b = v[active], b[active]
        vv = np.mean(np.abs(v) ** 2, axis=0) + 1e-12
        bb = np.mean(np.abs(b) ** 2, axis=0)
        shared = np.abs(np.mean(b * np.conj(v), axis=0)) ** 2 / vv
        weight = int(active.sum())
        leaked += weight * float(np.sum(shared - (bb - shared) / (weight - 1)))
        total += weight * float(np.sum(vv))
    return max(decibels(max(leaked, 0.0) / total), -60.0) if total else -60.0


def cross_correlation(song: Source, remix: Source, watch: Watch) -> tuple[DoubleArray, DoubleArray]:
    """The normalised cross-correlation over lag, by FFT: lags in seconds and values in ±1, equally long.

    A positive lag means that the remix is late. Both are made mono at `CORRELATION_RATE`; r[l] = Σ x[n] y[n + l] over
    the whole of both, for |l| up to `LAG_S`.
    """
    max_lag, block = int(LAG_S * CORRELATION_RATE), int(2 * LAG_S * CORRELATION_RATE)
    size = block + 2 * max_lag
    product = np.zeros(size // 2 + 1, np.complex128)
    energies = np.zeros(2)
    x_blocks = frame_windows(mono_blocks(song, CORRELATION_RATE), block, block)
    y_blocks = frame_windows(mono_blocks(remix, CORRELATION_RATE), size, block, lead=max_lag)
    length = max(song.frames / song.sample_rate, remix.frames / remix.sample_rate, 1e-9)
    for at, (x, y) in enumerate(zip_longest(x_blocks, y_blocks)):
        watch.at(at * 2 * LAG_S / length)
        if x is not None and y is not None:
            product += np.conj(np.fft.rfft(x, size)) * np.fft.rfft(y)
        if x is not None:
            energies[0] += float(np.sum(np.square(x), dtype=np.float64))
        if y is not None:
            energies[1] += float(np.sum(np.square(y[max_lag : max_lag + block]), dtype=np.float64))
    values = np.fft.irfft(product, size)[: 2 * max_lag + 1] / max(float(np.sqrt(energies.prod())), 1e-12)
    return np.arange(-max_lag, max_lag + 1) / CORRELATION_RATE, values


def lag_power(lags_s: DoubleArray, values: DoubleArray, points: int = 401) -> Curve:
    """The power of a cross-correlation against lag, in dB: the maximum of each of `points` equal spans of lag."""
    edges = np.linspace(0, len(values), points + 1).astype(int)[:-1]
    power = np.maximum.reduceat(np.square(values), edges)
    middle = np.linspace(lags_s[0], lags_s[-1], points)
    return Curve("power against lag", _rounded(middle, 4), _rounded(10 * np.log10(np.maximum(power, 1e-8)), 2))


def spectrum(source: Source, name: str, watch: Watch) -> Curve:
    """The average spectrum in third octaves from 50 Hz to 16 kHz: hertz, dB re a full-scale sine."""
    size = 4096
    taper = np.hanning(size)
    power, count = np.zeros(size // 2 + 1), 0
    for frame in frame_windows(mono_blocks(source, source.sample_rate), size, size):
        power += np.abs(np.fft.rfft(frame * taper)) ** 2
        count += 1
        if count % 256 == 0:
            watch.at(count * size / source.frames)
    power *= 4 / (max(count, 1) * size * float(np.sum(taper**2)))
    hertz = np.fft.rfftfreq(size, 1 / source.sample_rate)
    centres = 1000.0 * 2.0 ** (np.arange(-13, 13) / 3)
    centres = centres[centres * 2 ** (1 / 6) < source.sample_rate / 2]
    levels = []
    for centre in centres:
        inside = (hertz >= centre / 2 ** (1 / 6)) & (hertz < centre * 2 ** (1 / 6))
        bins = power[inside] if inside.any() else power[[int(np.argmin(np.abs(hertz - centre)))]]
        levels.append(decibels(float(np.sum(bins))))
    return Curve(name, _rounded(centres, 1), _rounded(np.asarray(levels), 2))


def onset_lags(song: Source, remix: Source, watch: Watch) -> tuple[DoubleArray, DoubleArray]:
    """Lag of the remix's onsets along the song: times and lags in seconds, one each 6 s where it is reliable.

    The onset envelopes are correlated (Pearson) over 12 s at lags within 80 ms, and the peak refined by a parabola;
    peaks that are not significant (four standard errors, or 0.08) are dropped, and all where over half of the windows
    have none.
    """
    rate = CORRELATION_RATE / _ONSET_HOP
    window, max_lag = int(12 * rate), int(0.08 * rate)
    x, y = onset_envelope(song, watch.span(0, 0.5)), onset_envelope(remix, watch.span(0.5, 1))
    length = min(len(x), len(y))
    window = min(window, length - 2 * max_lag)
    times, lags = [], []
    starts = range(max_lag, length - window - max_lag + 1, int(6 * rate)) if window > rate / 2 else range(0)
    for start in starts:
        a = _centred(x[start : start + window])
        near = _centred(np.lib.stride_tricks.sliding_window_view(y[start - max_lag : start + window + max_lag], window))
        scale = np.linalg.norm(a) * np.linalg.norm(near, axis=1)
        values = near @ a / np.maximum(scale, 1e-9)
        best = int(np.argmax(values))
        if 0 < best < 2 * max_lag and values[best] > max(0.08, 4 / np.sqrt(window)):
            left, top, right = values[best - 1 : best + 2]
            bend = left - 2 * top + right
            lags.append((best - max_lag + (0.5 * (left - right) / bend if bend < 0 else 0.0)) / rate)
            times.append((start + window / 2) / rate)
    reliable = len(lags) if 2 * len(lags) >= len(starts) else 0
    return np.asarray(times[:reliable]), np.asarray(lags[:reliable])


def onset_envelope(source: Source, watch: Watch) -> FloatArray:
    """Onset envelope, 200 values a second: spectral flux of log magnitudes less its local mean, half-wave rectified."""
    taper = np.hanning(_ONSET_WINDOW).astype(np.float32)
    block = 20 * CORRELATION_RATE
    windows = frame_windows(
        mono_blocks(source, CORRELATION_RATE), block + _ONSET_WINDOW, block, lead=_ONSET_WINDOW // 2 + _ONSET_HOP
    )
    parts = []
    for at, samples in enumerate(windows):
        watch.at(at * 20 * source.sample_rate / source.frames)
        frames = _frames(samples, _ONSET_WINDOW, _ONSET_HOP)
        magnitude = np.log1p(100 * np.abs(np.fft.rfft(frames * taper, axis=1)))
        parts.append(np.maximum(np.diff(magnitude, axis=0), 0).sum(axis=1)[: block // _ONSET_HOP].astype(np.float32))
    flux = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if len(flux) < 101:
        return flux - flux.mean() if len(flux) else flux
    smooth = np.convolve(flux, np.full(101, 1 / 101, np.float32), "same")
    return np.asarray(np.maximum(flux - smooth, 0), np.float32)


def clicks_s(source: Source, watch: Watch) -> DoubleArray:
    """Times of clicks as from hard splices, in seconds; clicks within 10 ms of each other are one.

    A click is a second difference that is audible (over -46 dBFS) and 20 times the root mean square of its neighbours
    within 2.5 ms. Natural speech, singing and drums have none; meant for single voices, since a synthetic drum that
    starts out of silence is a click too.
    """
    rate = source.sample_rate
    wide, near, block = int(0.005 * rate) // 2 * 2 + 1, 9, 20 * rate
    times_s: list[float] = []
    windows = frame_windows(mono_blocks(source, rate), block + 2 * wide, block, lead=wide)
    for at, samples in enumerate(windows):
        watch.at(at * block / source.frames)
        bend = np.square(np.diff(samples.astype(np.float64), 2))
        around = uniform_filter1d(bend, wide) * wide - uniform_filter1d(bend, near) * near
        hard = (bend > 0.005**2) & (bend > 400 * np.maximum(around, 0) / (wide - near))
        hard[: wide - 1] = hard[wide - 1 + block :] = False
        times_s.extend((np.flatnonzero(hard) + 1 - wide + at * block) / rate)
    times = np.asarray(times_s)
    inside = (times > 0.005) & (times < source.frames / rate - 0.005)
    return times[inside & (np.diff(times, prepend=-1.0) > 0.01)]


def _synchronous_blocks(sources: list[Source], rate: int, size: int) -> Iterator[list[Mono]]:
    """The sources, mono at `rate`, in equal blocks of `size` frames; shorter ones are padded with silence."""
    streams = [frame_windows(mono_blocks(source, rate), size, size) for source in sources]
    for blocks in zip_longest(*streams, fillvalue=np.zeros(size, np.float32)):
        yield list(blocks)


def _frames(samples: Mono, size: int, hop: int) -> Mono:
    """Shape: (frames, size)."""
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]


def _centred(rows: FloatArray) -> FloatArray:
    return np.asarray(rows - rows.mean(axis=-1, keepdims=True))


def _rounded(values: DoubleArray, digits: int) -> tuple[float, ...]:
    return tuple(round(float(value), digits) for value in values)
