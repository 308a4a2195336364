"""Waveform peaks and mel spectrograms for the page, read in blocks; and three plots for a run's summary."""

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

import librosa
import numpy as np
from PIL import Image

from models.audio.framing import frame_windows, mono_blocks
from models.core.dtypes import ByteArray, DoubleArray, FloatArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Score, Source
from models.report.types import PlotData, ReportInput, Spectrogram, Waveform

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MAX_PEAKS = 12_000
MAX_COLUMNS = 1600
BANDS = 160
"""Rows of a spectrogram, evenly spaced on the mel scale from `BOTTOM_HZ` to `TOP_HZ`."""
BOTTOM_HZ, TOP_HZ = 40.0, 16_000.0
RANGE_DB = 75.0
_RATE, _SIZE = 32_000, 4096
_LOUD = "#c0573a"
_INK = "#26231f"


@dataclass(frozen=True)
class Peaks:
    """A waveform plot: peak and root-mean-square magnitude of equally long buckets.

    `peak` and `rms` are 0-255 for magnitudes 0 to 1, shape (buckets,); `seconds` is the length of them all.
    """

    peak: ByteArray
    rms: ByteArray
    seconds: float


def peaks(source: Source, most: int = MAX_PEAKS) -> Peaks:
    """The waveform in at most `most` buckets, of 20 ms or more."""
    bucket = max(int(np.ceil(source.frames / most)), source.sample_rate // 50, 1)
    step = bucket * max(10 * source.sample_rate // bucket, 1)
    highest, typical = [], []
    for start in range(0, source.frames, step):
        block = source.read(start, start + step)
        buckets = block.reshape(block.shape[0], -1, bucket)
        highest.append(np.abs(buckets).max(axis=(0, 2)))
        typical.append(np.sqrt(np.square(buckets).mean(axis=(0, 2))))
    count = -(-source.frames // bucket)
    high, mean = (np.concatenate([*parts, np.zeros(0)])[:count] for parts in (highest, typical))
    return Peaks(_as_bytes(high), _as_bytes(mean), count * bucket / source.sample_rate)


def spectrogram(source: Source, columns: int = MAX_COLUMNS, bands: int = BANDS) -> ByteArray:
    """The mel spectrogram, 0-255 for the `RANGE_DB` below its maximum. Shape: (bands, columns), low bands last.

    It spans the whole source; a source shorter than `columns` windows has fewer columns.
    """
    length = source.frames / source.sample_rate * _RATE
    columns = int(np.clip(length // (_SIZE // 4), 1, columns))
    hop = max(int(np.ceil(length / columns)), 1)
    per_column = min(max(hop // (_SIZE // 2), 1), 4)
    taper, weights = np.hanning(_SIZE).astype(np.float32), mel_weights(bands)
    power = np.zeros((bands, columns), np.float32)
    windows = frame_windows(mono_blocks(source, _RATE), max(hop, _SIZE), hop)
    for column, samples in zip(range(columns), windows, strict=False):
        starts = np.linspace(0, len(samples) - _SIZE, per_column).astype(int)
        frames = np.stack([samples[start : start + _SIZE] for start in starts]) * taper
        power[:, column] = weights @ np.mean(np.abs(np.fft.rfft(frames, axis=1)) ** 2, axis=0)
    level = 10 * np.log10(power + 1e-9)
    return np.asarray(np.clip(255 * (1 + (level - level.max()) / RANGE_DB), 0, 255)[::-1], np.uint8)


def mel_weights(bands: int) -> FloatArray:
    """Triangular mel filters, each summing to 1. Shape: (bands, bins)."""
    weights = librosa.filters.mel(
        sr=_RATE, n_fft=_SIZE, n_mels=bands, fmin=BOTTOM_HZ, fmax=TOP_HZ, htk=True, norm=1.0, dtype=np.float32
    )
    return np.asarray(weights, np.float32)


def mel(hertz: float) -> float:
    """The mel scale (O'Shaughnessy's formula)."""
    return float(librosa.hz_to_mel(hertz, htk=True))


def draw(data: ReportInput, watch: Watch = UNWATCHED) -> PlotData:
    """The data of all plots of audio, kilobytes to a few megabytes of text."""
    waveforms = []
    for index, (name, source) in enumerate(data.parts.items()):
        watch.at(0.6 * index / len(data.parts))
        waveform = peaks(source)
        seconds = source.frames / source.sample_rate
        waveforms.append(Waveform(name, seconds, waveform.seconds, _text(waveform.peak), _text(waveform.rms)))
    spectrograms = []
    for index, (name, source) in enumerate((("original", data.original), ("mix", data.mix))):
        watch.at(0.6 + 0.2 * index)
        png = b64encode(grey_png(spectrogram(source))).decode()
        spectrograms.append(Spectrogram(name, source.frames / source.sample_rate, png))
    watch.at(1.0)
    return PlotData(tuple(waveforms), tuple(spectrograms))


def grey_png(pixels: ByteArray) -> bytes:
    """An 8-bit grey picture. Shape: (height, width)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


def summary_plots(data: ReportInput) -> dict[str, bytes]:
    """Three PNGs for a run's summary: "waveform", "spectrogram" and "piano_roll"."""
    return {"waveform": _waveforms(data), "spectrogram": _spectrograms(data), "piano_roll": _piano_rolls(data)}


def _waveforms(data: ReportInput) -> bytes:
    canvas, axes = _panels(["Song", "Remix"])
    for axis, source, colour in zip(axes, (data.original, data.mix), (_INK, _LOUD), strict=True):
        waveform = peaks(source, 1200)
        times = np.linspace(0, waveform.seconds, len(waveform.peak))
        for part, strength in ((waveform.peak, 0.4), (waveform.rms, 1.0)):
            axis.fill_between(times, -part / 255.0, part / 255.0, color=colour, alpha=strength, linewidth=0)
        axis.set(ylim=(-1, 1), yticks=[])
    return _png(canvas)


def _spectrograms(data: ReportInput) -> bytes:
    canvas, axes = _panels(["Song", "Remix"])
    marks = [100.0, 500.0, 2000.0, 8000.0]
    for axis, source in zip(axes, (data.original, data.mix), strict=True):
        end = source.frames / source.sample_rate
        extent = (0, end, mel(BOTTOM_HZ), mel(TOP_HZ))
        axis.imshow(spectrogram(source, 1200), cmap="magma", aspect="auto", extent=extent)
        axis.set_yticks([mel(hertz) for hertz in marks], ["100 Hz", "500", "2 k", "8 k"])
    return _png(canvas)


def _piano_rolls(data: ReportInput) -> bytes:
    canvas, axes = _panels(["Transcribed", "Generated"])
    for axis, score in zip(axes, (data.score, data.extended), strict=True):
        _draw_notes(axis, score)
        for beat in data.grid.downbeats_s:
            axis.axvline(beat, color=_INK, alpha=0.15, linewidth=0.6)
    return _png(canvas)


def _draw_notes(axis: "Axes", score: Score) -> None:
    axis.set_prop_cycle(color=["#3f6fb5", "#2f8f6b", "#b8862b", "#8a5bb0", "#c0573a", "#3a9aa8"])
    for track in score.tracks:
        if track.notes and not track.is_drum:
            onsets, ends = zip(*((n.onset_s, n.onset_s + n.duration_s) for n in track.notes), strict=True)
            colour = axis.plot([], [], linewidth=3, label=track.name)[0].get_color()
            axis.hlines([n.pitch for n in track.notes], onsets, ends, colors=colour, linewidth=2.5)
    if any(track.notes and not track.is_drum for track in score.tracks):
        axis.legend(loc="upper right", frameon=False, ncols=4, fontsize=8)


def _panels(titles: list[str]) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(10, 5), dpi=110, layout="constrained", facecolor="white")
    axes = list(canvas.subplots(len(titles), 1, sharex=True))
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, loc="left", fontsize=11, color=_INK)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("seconds")
    return canvas, axes


def _png(canvas: "Figure") -> bytes:
    file = io.BytesIO()
    canvas.savefig(file, format="png")
    return file.getvalue()


def _text(values: ByteArray) -> str:
    return b64encode(values.tobytes()).decode()


def _as_bytes(magnitudes: DoubleArray) -> ByteArray:
    return np.asarray(np.clip(np.round(255 * magnitudes), 0, 255), np.uint8)
