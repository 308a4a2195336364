"""Fundamental frequency of one voice, streamed, by autocorrelation and Viterbi decoding.

Candidates come from the normalised autocorrelation of each frame, and the track is the cheapest path through all
candidates of the song: Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
ratio of a sampled sound", IFA Proceedings 17, 1993. `benchmarks/pitch.py` compares it with pyworld's dio and harvest
and with librosa's pyin, which is why it is the one used.
"""

from dataclasses import dataclass

import numpy as np
import soxr
from scipy.ndimage import uniform_filter1d

from models.analysis.settings import F0Settings
from models.core.dtypes import DoubleArray, FloatArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Source

ANALYSIS_RATE = 16_000
"""Every source is resampled to this rate, in hertz."""
_CANDIDATES = 8
_BLOCK_S = 20.0


@dataclass(frozen=True)
class F0:
    """A pitch track: `hz` is float32, shape (frames,), 0 where unvoiced; frame i is centred at i * `hop_s` seconds."""

    hz: FloatArray
    hop_s: float

    def at(self, times_s: DoubleArray) -> FloatArray:
        """The track at other times, in hertz: interpolated in log frequency inside voiced runs, 0 where unvoiced."""
        if not len(self.hz):
            return np.zeros(len(times_s), np.float32)
        position = np.asarray(times_s) / self.hop_s
        nearest = np.clip(np.round(position).astype(int), 0, len(self.hz) - 1)
        voiced = self.hz > 0
        if not voiced.any():
            return np.zeros(len(times_s), np.float32)
        frames = np.arange(len(self.hz))
        log_hz = np.interp(position, frames[voiced], np.log(self.hz[voiced]))
        return np.where(voiced[nearest], np.exp(log_hz), 0.0).astype(np.float32)


def track_f0(source: Source, settings: F0Settings, watch: Watch = UNWATCHED) -> F0:
    """The f0 of a single voice, one frame each `settings.hop_s` seconds from 0 to the source's end.

    The channels are averaged. The source is read in blocks and only a few numbers a frame are kept. Frames without
    pitch, silent frames and frames below the gate are 0.
    """
    frames = int(np.floor(source.frames / source.sample_rate / settings.hop_s)) + 1
    hz = np.zeros((frames, _CANDIDATES), np.float32)
    strength = np.full((frames, _CANDIDATES), -np.inf, np.float32)
    level_db = np.full(frames, -200.0, np.float32)
    step = max(int(_BLOCK_S / settings.hop_s), 1)
    for start in range(0, frames, step):
        watch.at(0.9 * start / frames)
        stop = min(start + step, frames)
        windows = _windows(source, settings, start, stop)
        level_db[start:stop] = 20 * np.log10(np.sqrt(np.mean(windows**2, axis=1)) + 1e-10)
        hz[start:stop], strength[start:stop] = _candidates(windows, settings)
    gate = max(float(np.percentile(level_db, 95)) - settings.gate_db, settings.silence_dbfs)
    strength[level_db < gate] = -np.inf
    track = _cheapest_path(hz, strength, settings, watch.span(0.9, 1.0))
    return F0(track, settings.hop_s)


@dataclass(frozen=True)
class Periodicity:
    """Boersma's harmonic strength of each frame, 0..1, and its `power`; both float32, shape (frames,)."""

    strength: FloatArray
    power: FloatArray


def periodicity(source: Source, hop_s: float, watch: Watch = UNWATCHED) -> Periodicity:
    """Boersma's harmonic strength of a source, one frame each `hop_s` seconds: near 1 for one voice alone."""
    settings = F0Settings(hop_s=hop_s)
    frames = int(np.floor(source.frames / source.sample_rate / hop_s)) + 1
    strength, power = np.zeros(frames, np.float32), np.zeros(frames, np.float32)
    step = max(int(_BLOCK_S / hop_s), 1)
    for start in range(0, frames, step):
        watch.at(start / frames)
        stop = min(start + step, frames)
        windows = _windows(source, settings, start, stop)
        power[start:stop] = np.mean(windows**2, axis=1)
        strength[start:stop] = np.clip(_candidates(windows, settings)[1].max(axis=1), 0, 1)
    return Periodicity(strength, power)


def sung_s(voice: Source, song: Source, f0: F0, within_db: float) -> float:
    """Seconds of singing: voiced frames whose level stands out of the song.

    The level, over 0.4 s, must be at most `within_db` below the mean level of the song.
    """
    powers = _powers(voice, f0.hop_s, len(f0.hz))
    level = uniform_filter1d(powers, round(0.4 / f0.hop_s) | 1, mode="constant")
    song_level = _powers(song, f0.hop_s, len(f0.hz)).mean()
    singing = (f0.hz > 0) & (level > 0) & (level >= song_level * 10 ** (-within_db / 10))
    return float(singing.sum() * f0.hop_s)


def _powers(source: Source, hop_s: float, frames: int) -> DoubleArray:
    """The mean power of each hop, all channels together. Shape: (frames,)."""
    powers = np.zeros(frames)
    step = max(int(_BLOCK_S / hop_s), 1)
    for first in range(0, frames, step):
        edges = np.round(np.arange(first, min(first + step, frames) + 1) * hop_s * source.sample_rate).astype(int)
        squared = np.square(source.read(edges[0], edges[-1]), dtype=np.float64).mean(axis=0)
        sums = np.add.reduceat(squared, edges[:-1] - edges[0])
        powers[first : first + len(sums)] = sums / np.diff(edges)
    return powers


def _window_frames(settings: F0Settings) -> int:
    """Three periods of the floor, in samples at the analysis rate."""
    return int(np.ceil(3 * ANALYSIS_RATE / settings.floor_hz)) // 2 * 2


def _windows(source: Source, settings: F0Settings, start: int, stop: int) -> FloatArray:
    """The samples around frames [start, stop) at the analysis rate. Shape: (frames, window)."""
    window = _window_frames(settings)
    margin = window / ANALYSIS_RATE
    low = int((start * settings.hop_s - margin) * source.sample_rate)
    high = int(np.ceil(((stop - 1) * settings.hop_s + margin) * source.sample_rate))
    mono: Samples = source.read(low, high).mean(axis=0)
    if source.sample_rate != ANALYSIS_RATE:
        mono = soxr.resample(mono, source.sample_rate, ANALYSIS_RATE)
    centres = (np.arange(start, stop) * settings.hop_s - low / source.sample_rate) * ANALYSIS_RATE
    first = np.clip(np.round(centres).astype(int) - window // 2, 0, max(len(mono) - window, 0))
    if len(mono) < window:
        mono = np.pad(mono, (0, window - len(mono)))
    frames: FloatArray = np.lib.stride_tricks.sliding_window_view(mono, window)[first]
    return np.asarray(frames - frames.mean(axis=1, keepdims=True), np.float32)


def _candidates(windows: FloatArray, settings: F0Settings) -> tuple[FloatArray, FloatArray]:
    """The best autocorrelation peaks of each frame: frequency in hertz and strength. Shape: (frames, candidates)."""
    size = windows.shape[1]
    oversampling = 2
    fft = 1 << int(np.ceil(np.log2(size * 1.5)))
    taper: FloatArray = np.hanning(size).astype(np.float32)
    rate = ANALYSIS_RATE * oversampling
    low, high = int(rate / settings.ceiling_hz), int(np.ceil(rate / settings.floor_hz)) + 1
    own = _autocorrelation(taper[None], fft, oversampling)[0, : high + 1]
    own /= own[0]
    hz = np.zeros((len(windows), _CANDIDATES), np.float32)
    strength = np.full((len(windows), _CANDIDATES), -np.inf, np.float32)
    for start in range(0, len(windows), 256):
        rows = slice(start, start + 256)
        auto = _autocorrelation(windows[rows] * taper, fft, oversampling)[:, : high + 1]
        auto = np.asarray(auto / np.maximum(auto[:, :1], 1e-12) / own, np.float32)
        hz[rows], strength[rows] = _peaks(auto, low, high, rate, settings)
    return hz, strength


def _autocorrelation(frames: FloatArray, fft: int, oversampling: int) -> FloatArray:
    """Autocorrelation by the power spectrum, its lags `oversampling` times finer than the samples."""
    power = np.abs(np.fft.rfft(frames, fft, axis=1)) ** 2
    return np.asarray(np.fft.irfft(power, fft * oversampling, axis=1), np.float32)


def _peaks(auto: FloatArray, low: int, high: int, rate: int, settings: F0Settings) -> tuple[FloatArray, FloatArray]:
    """Local maxima of lags [low, high), refined by a parabola, the strongest first."""
    left, middle, right = auto[:, low - 1 : high - 1], auto[:, low:high], auto[:, low + 1 : high + 1]
    curve = left - 2 * middle + right
    offset = np.clip(0.5 * (left - right) / np.where(np.abs(curve) < 1e-9, 1e-9, curve), -0.5, 0.5)
    height = middle - 0.25 * (left - right) * offset
    hz = rate / (np.arange(low, high) + offset)
    # white noise in a short frame correlates with itself; above 1 the estimate is an artefact of the taper
    height = np.where(height > 1, 1 / np.maximum(height, 1), height)
    strength = height - settings.octave_cost * np.log2(settings.ceiling_hz / hz)
    strength = np.where((middle >= left) & (middle > right) & (middle > 0.2), strength, -np.inf)
    best = np.argpartition(-strength, _CANDIDATES, axis=1)[:, :_CANDIDATES]
    return (
        np.take_along_axis(hz, best, axis=1).astype(np.float32),
        np.take_along_axis(strength, best, axis=1).astype(np.float32),
    )


def _cheapest_path(hz: FloatArray, strength: FloatArray, settings: F0Settings, watch: Watch) -> FloatArray:
    """Viterbi over the candidates and "unvoiced". Returns hertz, 0 where unvoiced. Shape: (frames,)."""
    frames, states = hz.shape[0], hz.shape[1] + 1
    octaves = np.log2(np.maximum(hz, 1.0))
    scale = 0.01 / settings.hop_s
    back = np.zeros((frames, states), np.int8)
    score = np.append(strength[0], settings.unvoiced_strength)
    cost = np.full((states, states), settings.voicing_cost * scale, np.float32)
    cost[-1, -1] = 0.0
    columns = np.arange(states)
    for i in range(1, frames):
        if i % 4096 == 0:
            watch.at(i / frames)
        cost[:-1, :-1] = settings.jump_cost * scale * np.abs(octaves[i - 1][:, None] - octaves[i][None, :])
        total = score[:, None] - cost
        back[i] = total.argmax(axis=0)
        score = total[back[i], columns] + np.append(strength[i], settings.unvoiced_strength)
    path = np.zeros(frames, np.intp)
    path[-1] = score.argmax()
    for i in range(frames - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    padded = np.append(hz, np.zeros((frames, 1), np.float32), axis=1)
    return np.asarray(padded[np.arange(frames), path], np.float32)
