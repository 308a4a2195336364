"""Selection of training segments from a speaker's recordings: split at pauses, filtered, at one rate and RMS level.

Rejected, with the seconds for each reason: silence, short segments, clipping, music or noise in the background, and
speakers other than the main one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import soxr
from scipy.ndimage import uniform_filter1d
from scipy.signal import istft, stft

from models.conversion.metrics import dnsmos_scores, speaker_embedding, speaker_similarity
from models.conversion.phrases import LEVEL_HOP_S, active_frames, level_contour, split_phrases
from models.conversion.training.settings import SelectionSettings
from models.core.dtypes import FloatArray
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Wave

DEFAULT = SelectionSettings()


@dataclass(frozen=True)
class RecordingSegment:
    """A segment of a recording from `start_s` on; `audio` is mono."""

    name: str
    start_s: float
    audio: Wave


@dataclass(frozen=True)
class Selection:
    """The segments kept, the main speaker's embedding, and the seconds rejected by reason.

    `unusable` has the reason for each recording that could not be used at all, by name.
    """

    segments: tuple[RecordingSegment, ...]
    speaker: FloatArray
    rejected_s: dict[str, float]
    unusable: dict[str, str] = field(default_factory=dict)

    @property
    def kept_s(self) -> float:
        """Seconds kept."""
        return _duration_s(self.segments)


def select_segments(
    recordings: Sequence[tuple[str, Callable[[], Wave]]],
    rate: int,
    settings: SelectionSettings = DEFAULT,
    watch: Watch = UNWATCHED,
) -> Selection:
    """Segments of named recordings for training one voice, at `rate` hertz and one RMS level.

    Recordings are read one at a time; one whose reading raises `BadInput`, or that has samples that are not finite, is
    left out.
    """
    rejected_s: dict[str, float] = {}
    unusable: dict[str, str] = {}
    candidates: list[tuple[RecordingSegment, FloatArray]] = []
    for index, (name, read) in enumerate(recordings):
        watch.at(0.95 * index / len(recordings))
        try:
            mono = _read_mono(name, read)
        except BadInput as error:
            unusable[name] = str(error)
            continue
        mono = denoise_wiener(mono) if settings.denoise else mono
        segments = list(split_at_pauses(name, mono, settings))
        _add_seconds(rejected_s, "silence", mono.duration_s - _duration_s(segments))
        for segment in segments:
            reason = _rejection_reason(segment.audio, settings)
            if reason:
                _add_seconds(rejected_s, reason, segment.audio.duration_s)
            else:
                candidates.append((segment, speaker_embedding(segment.audio)))
    speaker = _main_speaker([embedding for _, embedding in candidates])
    own = [s for s, embedding in candidates if speaker_similarity(embedding, speaker) >= settings.min_similarity]
    _add_seconds(rejected_s, "another speaker", _duration_s([s for s, _ in candidates]) - _duration_s(own))
    levelled = [replace(s, audio=resample_and_level(s.audio, rate, settings.loudness_dbfs)) for s in own]
    watch.at(1.0)
    return Selection(tuple(levelled), speaker, rejected_s, unusable)


def _read_mono(name: str, read: Callable[[], Wave]) -> Wave:
    recording = read()
    if not np.isfinite(recording.samples).all():
        raise BadInput(f"{name} holds samples that are not numbers.")
    return Wave(recording.samples.mean(axis=0, keepdims=True), recording.sample_rate)


def _add_seconds(rejected_s: dict[str, float], reason: str, seconds: float) -> None:
    if seconds > 0:
        rejected_s[reason] = rejected_s.get(reason, 0.0) + seconds


def _duration_s(segments: Iterable[RecordingSegment]) -> float:
    return sum(segment.audio.duration_s for segment in segments)


def split_at_pauses(name: str, mono: Wave, settings: SelectionSettings = DEFAULT) -> Iterator[RecordingSegment]:
    """The active segments of a recording, merged over short pauses, at most `max_s` long."""
    level = level_contour(mono)
    active = active_frames(level, settings.gate_db, -60.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], active, [True]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):  # the pauses
        if (stop - start) * LEVEL_HOP_S < settings.pause_s and start > 0 and stop < len(active):
            active[start:stop] = True
    for phrase in split_phrases(level, active, settings.max_s):
        low, high = (round(edge * LEVEL_HOP_S * mono.sample_rate) for edge in (phrase.start, phrase.stop))
        yield RecordingSegment(name, low / mono.sample_rate, Wave(mono.samples[:, low:high], mono.sample_rate))


def _rejection_reason(audio: Wave, settings: SelectionSettings) -> str:
    """Why a segment is rejected, or ""."""
    if audio.duration_s < settings.min_s:
        return "too short"
    if clipped_share(audio.samples[0]) > settings.max_clipped:
        return "clipping"
    scores = dnsmos_scores(audio)
    if scores.background < settings.min_background or scores.signal < settings.min_signal:
        return "music or noise"
    return ""


def clipped_share(samples: FloatArray) -> float:
    """The share of samples in runs of two or more at the peak level."""
    ceiling = float(np.abs(samples).max(initial=0.0))
    if ceiling < 0.25:
        return 0.0
    at_peak = np.abs(samples) > 0.995 * ceiling
    clipped = at_peak[1:] & at_peak[:-1] & (samples[1:] * samples[:-1] > 0)
    return float(clipped.mean()) if len(clipped) else 0.0


def _main_speaker(vectors: Sequence[FloatArray]) -> FloatArray:
    """The main speaker's embedding: the mean of those similar to the most central segment's."""
    if not vectors:
        return np.zeros(256, np.float32)
    stacked = np.stack(vectors)
    similarity = stacked @ stacked.T
    centre = int(np.argmax(np.median(similarity, axis=1)))
    similar = stacked[similarity[centre] >= min(0.7, float(np.median(similarity[centre])))]
    mean = similar.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def resample_and_level(audio: Wave, rate: int, loudness_dbfs: float) -> Wave:
    """Audio at another rate and RMS level, its peak at most 0.95."""
    samples = np.asarray(soxr.resample(audio.samples[0], audio.sample_rate, rate), np.float32)
    loud, peak = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))), float(np.abs(samples).max(initial=0.0))
    gain = min(10 ** (loudness_dbfs / 20) / max(loud, 1e-9), 0.95 / max(peak, 1e-9))
    return Wave((samples * np.float32(gain))[None], rate)


def denoise_wiener(mono: Wave, max_attenuation_db: float = 18.0) -> Wave:
    """A recording with stationary noise reduced: a Wiener gain from the spectrum of its quietest tenth."""
    size = int(0.046 * mono.sample_rate) // 2 * 2
    if mono.frames < 4 * size:
        return mono
    _, _, spectrum = stft(mono.samples[0], mono.sample_rate, nperseg=size, noverlap=size * 3 // 4)
    power = uniform_filter1d(np.abs(spectrum) ** 2, 5, axis=1)
    level = power.sum(axis=0)
    noise = power[:, level <= np.percentile(level, 10)].mean(axis=1, keepdims=True)
    gain = np.maximum(1 - 2 * noise / np.maximum(power, 1e-20), 10 ** (-max_attenuation_db / 20))
    _, samples = istft(spectrum * gain, mono.sample_rate, nperseg=size, noverlap=size * 3 // 4)
    clean = np.asarray(samples[: mono.frames], np.float32)
    return Wave(np.pad(clean, (0, mono.frames - len(clean)))[None], mono.sample_rate)
