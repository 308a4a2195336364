"""Decoding of audio files to float32 stereo at 44,100 Hz, block by block (tags: `models.audio.tags`).

The samples depend on the audio stream alone: names, tags, pictures and the container do not change a bit of them, so
one song in WAV, FLAC or AIFF decodes to equal bytes. ffmpeg only decodes (see `models.audio.ffmpeg`); downmix and
resampling are done here, on blocks of one fixed size, in one fixed order.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from models.audio.containers import Container
from models.audio.ffmpeg import AudioFile, FfmpegProcess, open_audio, run_ffmpeg
from models.audio.settings import IngestSettings
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples

SAMPLE_RATE = 44100
"""Sample rate of decoded audio, in Hz."""

_BLOCK = 1 << 16
_RATES = (8000, 192_000)
_MAX_SAMPLES_PER_BYTE, _CHECK_RATIO_AFTER_S = 250, 60.0  # stereo Opus at 6 kbit/s has 128; silence in FLAC over 300
_MAX_AMPLITUDE = 100.0  # 40 dB over full scale: integers stored as floats, or flipped exponents
_HALF = 0.5**0.5
_CENTRE, _LEFT, _RIGHT, _MIDDLE = (_HALF, _HALF), (_HALF, 0.0), (0.0, _HALF), (0.5, 0.5)
_GAINS: dict[int, tuple[float, float]] = {
    0x1: (1.0, 0.0),  # front left
    0x2: (0.0, 1.0),  # front right
    0x4: _CENTRE,
    0x8: (0.0, 0.0),  # low frequency effects
    0x10: _LEFT,  # back left, and so on: see WAVEFORMATEXTENSIBLE
    0x20: _RIGHT,
    0x40: _LEFT,  # front left of centre
    0x80: _RIGHT,
    0x100: _MIDDLE,  # back centre
    0x200: _LEFT,  # side left
    0x400: _RIGHT,
}
_USUAL_MASKS = {3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}


DEFAULT = IngestSettings()


@dataclass(frozen=True)
class _Format:
    """Format of ffmpeg's output, interleaved float32; `mask` has the channels' WAVEFORMATEXTENSIBLE speaker bits."""

    channels: int
    sample_rate: int
    mask: int


def decode(path: Path, settings: IngestSettings = DEFAULT, watch: Watch = UNWATCHED) -> Iterator[Samples]:
    """The audio of a file as blocks of float32, shape (2, n), at 44,100 Hz, nominal ±1, in bounded memory.

    Mono goes to both channels; more than two channels are downmixed (ITU-R BS.775-3, without the low-frequency channel,
    scaled so that the peak cannot exceed the input's). Raises `BadInput` for damaged, truncated and silent files and
    for lengths outside the settings: at once where the header shows it, else during decoding.
    """
    with open_audio(path) as source:
        _refuse_length(path, source.container.seconds, settings)
    return _decode_blocks(path, settings, watch)


def _decode_blocks(path: Path, settings: IngestSettings, watch: Watch) -> Iterator[Samples]:
    with open_audio(path) as source, run_ffmpeg(source, *_options(source.container)) as ffmpeg:
        form = _wave_header(ffmpeg.output)
        if form is None:
            raise BadInput(f"{path} cannot be decoded: {ffmpeg.failure() or 'it holds no audio'}.")
        _refuse_format(path, form)
        check = _SignalCheck(path, form, settings)
        resampler = None
        if form.sample_rate != SAMPLE_RATE:
            resampler = soxr.ResampleStream(form.sample_rate, SAMPLE_RATE, 2, dtype="float32", quality="VHQ")
        declared = (source.container.seconds or settings.max_seconds) * form.sample_rate
        for raw in _raw_blocks(ffmpeg.output, form.channels):
            check.add(raw)
            _refuse_decompression_bomb(source, check)
            stereo = _downmix(raw, form)
            yield _resample(resampler, stereo) if resampler else stereo
            watch.at(check.frames / declared)
        _check_end(source, ffmpeg, check)
        if resampler:
            yield _resample(resampler, np.zeros((2, 0), np.float32), last=True)
        watch.at(1.0)


def _options(container: Container) -> tuple[list[str], list[str]]:
    """ffmpeg's options before and after the input: the first audio stream alone, as float32."""
    strict = ["-xerror", "-err_detect", "crccheck+explode"] if container.strict else ["-err_detect", "crccheck"]
    output = ["-map", "0:a:0", "-map_metadata", "-1", "-c:a", "pcm_f32le", "-bitexact", "-f", "wav"]
    return [*strict, "-codec_whitelist", container.decoders], ["-max_error_rate", "0.02", *output]


def _wave_header(stream: BinaryIO) -> _Format | None:
    """Read ffmpeg's WAV header up to the first sample; None where there is no output."""
    form = None
    if len(stream.read(12)) < 12:
        return None
    while len(head := stream.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            return form
        body = stream.read(length + (length & 1))
        if name == b"fmt ":
            tag, channels, sample_rate = struct.unpack("<HHI", body[:8])
            form = _Format(channels, sample_rate, int.from_bytes(body[20:24], "little") if tag == 0xFFFE else 0)
    return None


def _raw_blocks(stream: BinaryIO, channels: int) -> Iterator[Samples]:
    """Blocks of shape (channels, frames), all of one length but the last."""
    while data := stream.read(_BLOCK * channels * 4):
        whole = len(data) // (4 * channels) * (4 * channels)
        yield np.ascontiguousarray(np.frombuffer(data[:whole], "<f4").reshape(-1, channels).T)
        if len(data) < _BLOCK * channels * 4:
            return


def _downmix(raw: Samples, form: _Format) -> Samples:
    """Downmix to stereo. Shape: (channels, frames) -> (2, frames)."""
    if form.channels == 1:
        return np.repeat(raw, 2, axis=0)
    if form.channels == 2:
        return raw
    stereo = np.zeros((2, raw.shape[1]), np.float32)
    for channel, gains in zip(raw, _gains(form), strict=True):
        for side, gain in zip(stereo, gains, strict=True):
            side += channel * np.float32(gain)
    return stereo


def _resample(resampler: soxr.ResampleStream, stereo: Samples, last: bool = False) -> Samples:
    """The resampler's output so far, perhaps empty. Shape: (2, frames) -> (2, other frames)."""
    return np.ascontiguousarray(resampler.resample_chunk(np.ascontiguousarray(stereo.T), last=last).T)


def _gains(form: _Format) -> list[tuple[float, float]]:
    """Downmix gains (left, right) of each channel, scaled so that neither side sums to more than 1.

    >>> [[round(g, 3) for g in pair] for pair in _gains(_Format(6, 48000, 0x3F))][:3]
    [[0.414, 0.0], [0.0, 0.414], [0.293, 0.293]]
    """
    mask = form.mask if form.mask.bit_count() == form.channels else _USUAL_MASKS[form.channels]
    speakers = [1 << bit for bit in range(32) if mask >> bit & 1]
    pairs = [_GAINS.get(speaker, _MIDDLE) for speaker in speakers]
    largest = max(sum(left for left, _ in pairs), sum(right for _, right in pairs))
    return [(left / largest, right / largest) for left, right in pairs]


class _SignalCheck:
    """Checks decoded blocks: sample values, length, and the peak-to-peak amplitude of each channel."""

    def __init__(self, path: Path, form: _Format, settings: IngestSettings) -> None:
        self.path, self.form, self.settings = path, form, settings
        self.frames = 0
        self.minimum = np.full(form.channels, np.inf, np.float32)
        self.maximum = np.full(form.channels, -np.inf, np.float32)

    def add(self, raw: Samples) -> None:
        if not raw.size:
            return
        self.frames += raw.shape[1]
        if self.frames > self.settings.max_seconds * self.form.sample_rate:
            raise BadInput(f"{self.path} is too long: a song may last {_duration_text(self.settings.max_seconds)}.")
        low, high = raw.min(axis=1), raw.max(axis=1)
        if not (np.all(low >= -_MAX_AMPLITUDE) and np.all(high <= _MAX_AMPLITUDE)):
            what = "far over full scale" if np.isfinite(low).all() and np.isfinite(high).all() else "not numbers"
            raise BadInput(f"{self.path} is damaged: it holds samples that are {what}.")
        self.minimum, self.maximum = np.minimum(self.minimum, low), np.maximum(self.maximum, high)

    @property
    def seconds(self) -> float:
        return self.frames / self.form.sample_rate

    @property
    def silent(self) -> bool:
        """Whether half the largest peak-to-peak amplitude is under the level; a constant is silence too."""
        return bool(np.max(self.maximum - self.minimum) / 2 < 10 ** (self.settings.silence_dbfs / 20))


def _refuse_length(path: Path, seconds: float | None, settings: IngestSettings) -> None:
    """Raise `BadInput` for a length outside the settings."""
    if seconds is None:
        return
    if seconds == 0:
        raise BadInput(f"{path} holds no audio.")
    if seconds > settings.max_seconds:
        raise BadInput(f"{path} is too long: a song may last {_duration_text(settings.max_seconds)}.")
    if seconds < settings.min_seconds:
        raise BadInput(
            f"{path} is too short: {seconds:.2f} s, and a song lasts {_duration_text(settings.min_seconds)} or more."
        )


def _refuse_decompression_bomb(source: AudioFile, check: _SignalCheck) -> None:
    """Raise `BadInput` early for a file that decodes to far more samples a byte than audio codecs do."""
    samples = check.frames * check.form.channels
    if check.seconds > _CHECK_RATIO_AFTER_S and samples > _MAX_SAMPLES_PER_BYTE * source.bytes_read():
        raise BadInput(f"{source.path} is no song: its {source.size >> 10} kB unpack to far more than sound does.")


def _refuse_format(path: Path, form: _Format) -> None:
    if not _RATES[0] <= form.sample_rate <= _RATES[1]:
        raise BadInput(f"{path} is sampled at {form.sample_rate} Hz; 8 kHz to 192 kHz are accepted.")
    if not 1 <= form.channels <= 8:
        raise BadInput(f"{path} has {form.channels} channels; 1 to 8 are accepted.")


def _check_end(source: AudioFile, ffmpeg: FfmpegProcess, check: _SignalCheck) -> None:
    """Raise `BadInput` for a failed decoder, an early end, a short song, or silence."""
    path, kind, settings = source.path, source.container, check.settings
    failure = ffmpeg.failure()
    if failure:
        raise BadInput(f"{path} is damaged after {check.seconds:.1f} s: {failure}.")
    if not check.frames:
        raise BadInput(f"{path} holds no audio.")
    if kind.seconds is not None and round((kind.seconds - kind.slack_s) * check.form.sample_rate) > check.frames:
        raise BadInput(
            f"{path} is truncated or damaged: {kind.seconds:.1f} s are promised, {check.seconds:.1f} s can be decoded."
        )
    _refuse_length(path, check.seconds, settings)
    if check.silent:
        raise BadInput(f"{path} is silent from beginning to end; a remix of silence is refused.")


def _duration_text(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"
