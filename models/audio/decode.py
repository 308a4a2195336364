"""From an audio file of any kind to float32 stereo at 44,100 Hz, block by block (its tags: `models.audio.tags`).

The samples depend on the sound alone: names, tags, pictures and the container do not change a bit of them, so one song
in WAV, FLAC or AIFF decodes to equal bytes. ffmpeg only unpacks (see `models.audio.ffmpeg`); the fold-down and the resampling
are done here, on blocks of one fixed size, in one fixed order.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from models.audio.containers import Container
from models.audio.ffmpeg import Opened, Running, opened, reading
from models.audio.tags import Tags, read_tags
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples

__all__ = ["DEFAULT", "SAMPLE_RATE", "IngestSettings", "Tags", "decode", "read_tags"]

SAMPLE_RATE = 44100
"""What everything is decoded to, in Hz."""

_BLOCK = 1 << 16
_RATES = (8000, 192_000)
_MOST_SAMPLES_A_BYTE, _CERTAIN_AFTER_S = 250, 60.0  # 128 in Opus at 6 kbit/s in stereo; silence in FLAC has over 300
_LOUDEST = 100.0  # 40 dB over full scale: no recording, but integers stored as floats or flipped exponents
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


@dataclass(frozen=True)
class IngestSettings:
    """What counts as a song: its length in seconds, and the level (dBFS) below which it is silence."""

    max_seconds: float = 3600.0
    min_seconds: float = 1.0
    silence_dbfs: float = -60.0


DEFAULT = IngestSettings()


@dataclass(frozen=True)
class _Format:
    """Samples as ffmpeg gives them: float32, interleaved; `mask` names the channels' places in speaker bits."""

    channels: int
    sample_rate: int
    mask: int


def decode(path: Path, settings: IngestSettings = DEFAULT, watch: Watch = UNWATCHED) -> Iterator[Samples]:
    """The song in a file, as blocks of float32, shape (2, n), at 44,100 Hz, nominal ±1, in bounded memory.

    Mono goes to both channels; more channels than two are folded down (ITU-R BS.775-3, without the low-frequency
    channel, scaled so that nothing can exceed the loudest input). Raises `BadInput` for what is not a whole, sounding
    song of an accepted length, at once where the header tells it, else on the way; silence is known only at the end.
    """
    with opened(path) as source:
        _refuse_length(path, source.container.seconds, settings)
    return _decoded(path, settings, watch)


def _decoded(path: Path, settings: IngestSettings, watch: Watch) -> Iterator[Samples]:
    with opened(path) as source, reading(source, *_options(source.container)) as ffmpeg:
        form = _wave_header(ffmpeg.output)
        if form is None:
            raise BadInput(f"{path} cannot be decoded: {ffmpeg.failure() or 'it holds no audio'}.")
        _refuse_format(path, form)
        listener = _Listener(path, form, settings)
        resampler = None
        if form.sample_rate != SAMPLE_RATE:
            resampler = soxr.ResampleStream(form.sample_rate, SAMPLE_RATE, 2, dtype="float32", quality="VHQ")
        promised = (source.container.seconds or settings.max_seconds) * form.sample_rate
        for raw in _raw_blocks(ffmpeg.output, form.channels):
            listener.hear(raw)
            _refuse_bomb(source, listener)
            stereo = _folded(raw, form)
            yield _resampled(resampler, stereo) if resampler else stereo
            watch.at(listener.frames / promised)
        _refuse_remains(source, ffmpeg, listener)
        if resampler:
            yield _resampled(resampler, np.zeros((2, 0), np.float32), last=True)
        watch.at(1.0)


def _options(container: Container) -> tuple[list[str], list[str]]:
    """ffmpeg's options before and after the input: the first sound stream alone, as it is, in float."""
    strict = ["-xerror", "-err_detect", "crccheck+explode"] if container.strict else ["-err_detect", "crccheck"]
    output = ["-map", "0:a:0", "-map_metadata", "-1", "-c:a", "pcm_f32le", "-bitexact", "-f", "wav"]
    return [*strict, "-codec_whitelist", container.decoders], ["-max_error_rate", "0.02", *output]


def _wave_header(stream: BinaryIO) -> _Format | None:
    """Read ffmpeg's WAV header up to the first sample, or None where there is none."""
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


def _folded(raw: Samples, form: _Format) -> Samples:
    """To two channels. Shape: (channels, frames) -> (2, frames)."""
    if form.channels == 1:
        return np.repeat(raw, 2, axis=0)
    if form.channels == 2:
        return raw
    folded = np.zeros((2, raw.shape[1]), np.float32)
    for channel, gains in zip(raw, _gains(form), strict=True):
        for side, gain in zip(folded, gains, strict=True):
            side += channel * np.float32(gain)
    return folded


def _resampled(resampler: soxr.ResampleStream, stereo: Samples, last: bool = False) -> Samples:
    """What comes out by now, perhaps nothing. Shape: (2, frames) -> (2, other frames)."""
    return np.ascontiguousarray(resampler.resample_chunk(np.ascontiguousarray(stereo.T), last=last).T)


def _gains(form: _Format) -> list[tuple[float, float]]:
    """What each channel adds to left and right, scaled so that neither sums to more than 1.

    >>> [[round(g, 3) for g in pair] for pair in _gains(_Format(6, 48000, 0x3F))][:3]
    [[0.414, 0.0], [0.0, 0.414], [0.293, 0.293]]
    """
    mask = form.mask if form.mask.bit_count() == form.channels else _USUAL_MASKS[form.channels]
    places = [1 << bit for bit in range(32) if mask >> bit & 1]
    pairs = [_GAINS.get(place, _MIDDLE) for place in places]
    largest = max(sum(left for left, _ in pairs), sum(right for _, right in pairs))
    return [(left / largest, right / largest) for left, right in pairs]


class _Listener:
    """Hears every sample on its way: refuses what cannot be, counts the frames, knows how far the signal swings."""

    def __init__(self, path: Path, form: _Format, settings: IngestSettings) -> None:
        self.path, self.form, self.settings = path, form, settings
        self.frames = 0
        self.lowest = np.full(form.channels, np.inf, np.float32)
        self.highest = np.full(form.channels, -np.inf, np.float32)

    def hear(self, raw: Samples) -> None:
        if not raw.size:
            return
        self.frames += raw.shape[1]
        if self.frames > self.settings.max_seconds * self.form.sample_rate:
            raise BadInput(f"{self.path} is too long: a song may last {_span(self.settings.max_seconds)}.")
        low, high = raw.min(axis=1), raw.max(axis=1)
        if not (np.all(low >= -_LOUDEST) and np.all(high <= _LOUDEST)):
            what = "far over full scale" if np.isfinite(low).all() and np.isfinite(high).all() else "not numbers"
            raise BadInput(f"{self.path} is damaged: it holds samples that are {what}.")
        self.lowest, self.highest = np.minimum(self.lowest, low), np.maximum(self.highest, high)

    @property
    def seconds(self) -> float:
        return self.frames / self.form.sample_rate

    @property
    def silent(self) -> bool:
        """Half the largest swing of any channel is under the level; a constant is silence too."""
        return bool(np.max(self.highest - self.lowest) / 2 < 10 ** (self.settings.silence_dbfs / 20))


def _refuse_length(path: Path, seconds: float | None, settings: IngestSettings) -> None:
    """Refuse a song by the length its header promises, before anything is decoded."""
    if seconds is None:
        return
    if seconds == 0:
        raise BadInput(f"{path} holds no audio.")
    if seconds > settings.max_seconds:
        raise BadInput(f"{path} is too long: a song may last {_span(settings.max_seconds)}.")
    if seconds < settings.min_seconds:
        raise BadInput(f"{path} is too short: {seconds:.2f} s, and a song lasts {_span(settings.min_seconds)} or more.")


def _refuse_bomb(source: Opened, heard: _Listener) -> None:
    """Refuse what unpacks to more than sound does, long before all of it is unpacked."""
    samples = heard.frames * heard.form.channels
    if heard.seconds > _CERTAIN_AFTER_S and samples > _MOST_SAMPLES_A_BYTE * source.bytes_read():
        raise BadInput(f"{source.path} is no song: its {source.size >> 10} kB unpack to far more than sound does.")


def _refuse_format(path: Path, form: _Format) -> None:
    if not _RATES[0] <= form.sample_rate <= _RATES[1]:
        raise BadInput(f"{path} is sampled at {form.sample_rate} Hz; 8 kHz to 192 kHz are accepted.")
    if not 1 <= form.channels <= 8:
        raise BadInput(f"{path} has {form.channels} channels; 1 to 8 are accepted.")


def _refuse_remains(source: Opened, ffmpeg: Running, heard: _Listener) -> None:
    """What only the end of the song tells: a decoder that failed, an early end, too little sound, silence."""
    path, kind, settings = source.path, source.container, heard.settings
    failure = ffmpeg.failure()
    if failure:
        raise BadInput(f"{path} is damaged after {heard.seconds:.1f} s: {failure}.")
    if not heard.frames:
        raise BadInput(f"{path} holds no audio.")
    if kind.seconds is not None and round((kind.seconds - kind.slack_s) * heard.form.sample_rate) > heard.frames:
        raise BadInput(
            f"{path} is truncated or damaged: {kind.seconds:.1f} s are promised, {heard.seconds:.1f} s can be decoded."
        )
    _refuse_length(path, heard.seconds, settings)
    if heard.silent:
        raise BadInput(f"{path} is silent from beginning to end; a remix of silence is refused.")


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"
