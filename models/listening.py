"""The song's time and harmony from its separated stems: beats, downbeats, metre, tempo, key and a chord a beat."""

from dataclasses import dataclass

import librosa
import numpy as np
from numpy.typing import NDArray

from models.beats import decode_beats, decode_downbeats
from models.harmony import decode_chords, key_of
from models.mono import magnitudes
from models.progress import UNWATCHED, Watch
from models.records import Grid, Source

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_RATE = 22_050
_RHYTHM_HOP = 220
_RHYTHM_WINDOW = 1_024
_HARMONY_HOP = 2_048
_HARMONY_WINDOW = 8_192
_FPS = _RATE / _RHYTHM_HOP


@dataclass(frozen=True)
class ListenSettings:
    """What is expected of the song.

    Beats lie between `slowest_bpm` and `fastest_bpm`, most likely near `likely_bpm`; `tempo_cost` is the price of a
    relative change of tempo from one beat to the next, `prior_weight` of a squared octave away from `likely_bpm`,
    `beat_cost` of a beat (a loud onset on it earns 1).
    A bar has one of `metres` beats; a broken bar costs `bar_cost`. `chord_cost` is the price of a change of chord.
    Sound below `silence_dbfs` is silence, for which the grid is a steady `silent_bpm`.
    """

    slowest_bpm: float = 55.0
    fastest_bpm: float = 200.0
    likely_bpm: float = 100.0
    tempo_cost: float = 5.0
    prior_weight: float = 0.1
    beat_cost: float = 0.4
    metres: tuple[int, ...] = (4, 3)
    bar_cost: float = 4.0
    chord_cost: float = 1.0
    silence_dbfs: float = -60.0
    silent_bpm: float = 120.0


@dataclass(frozen=True)
class _Rhythm:
    """Onset strength of a stem each 10 ms: over all bands, below 150 Hz, above 2 kHz; and its loudest partial."""

    onsets: Doubles
    low: Doubles
    high: Doubles
    peak: float


def listen(
    drums: Source, bass: Source, other: Source, settings: ListenSettings = ListenSettings(), watch: Watch = UNWATCHED
) -> Grid:
    """Beats, downbeats, metre, tempo, key and chords of a song from its drums, bass and other stems.

    Always a usable grid: beats from the song's first beat period to its end or just past it, at least two of them and
    one downbeat, a chord each. Where nothing is heard it is a steady one, without chords. The sources are read block
    by block; memory grows by about 1 MB a minute.
    """
    duration = max(s.frames / s.sample_rate for s in (drums, bass, other))
    rhythms = [_rhythm(s, watch.span(0.2 * i, 0.2 * i + 0.2)) for i, s in enumerate((drums, bass, other))]
    if 20 * np.log10(max(r.peak for r in rhythms) + 1e-12) < settings.silence_dbfs:
        return steady(duration, settings.silent_bpm)
    beats = _beats(rhythms, duration, settings)
    watch.at(0.7)
    bass_chroma = _synced(_harmony(bass, 28, 60), beats)
    chroma = _synced(_harmony(other, 40, 96), beats) + bass_chroma
    watch.at(0.95)
    metre, downbeats = decode_downbeats(
        _downbeat_scores(rhythms, chroma, bass_chroma, beats), settings.metres, settings.bar_cost
    )
    chords = decode_chords(chroma, bass_chroma, settings.chord_cost)
    watch.at(1.0)
    return Grid(
        beats_s=tuple(map(float, beats)),
        downbeats_s=tuple(map(float, beats[downbeats])),
        tempo_bpm=60 / float(np.median(np.diff(beats))),
        metre=metre,
        key=key_of(chroma.sum(axis=0)),
        chords=chords,
    )


def steady(duration_s: float, bpm: float, metre: int = 4) -> Grid:
    """A grid of one tempo from 0 to the end of so many seconds, without chords."""
    count = max(int(np.ceil(duration_s * bpm / 60)) + 1, 2)
    beats = tuple(float(i * 60 / bpm) for i in range(count))
    return Grid(beats, beats[::metre], bpm, metre, "C:maj", ("N",) * count)


def _rhythm(source: Source, watch: Watch) -> _Rhythm:
    """How suddenly a stem grows louder, each 10 ms."""
    mels = librosa.filters.mel(sr=_RATE, n_fft=_RHYTHM_WINDOW, n_mels=40, fmin=30, fmax=11_000)
    centres = librosa.mel_frequencies(40, fmin=30, fmax=11_000)
    frames = source.frames / source.sample_rate * _FPS + 1
    parts: list[Floats] = []
    peak = 0.0
    for spectrum in magnitudes(source, _RATE, _RHYTHM_WINDOW, _RHYTHM_HOP):
        peak = max(peak, float(spectrum.max()))
        parts.append(spectrum @ mels.T)
        watch.at(sum(map(len, parts)) / frames)
    log = np.log1p(3000 * np.concatenate(parts).T)

    def rises(bands: NDArray[np.bool_]) -> Doubles:
        strength = librosa.onset.onset_strength(S=log[bands], lag=2, max_size=1, center=False)
        return np.asarray(strength, np.float64)

    return _Rhythm(rises(centres > 0), rises(centres < 150), rises(centres > 2000), peak)


def _beats(rhythms: list[_Rhythm], duration: float, settings: ListenSettings) -> Doubles:
    """Beat times in seconds, carried on to both ends of the song."""
    strength = np.zeros(max(len(r.onsets) for r in rhythms))
    for rhythm, weight in zip(rhythms, (1.0, 0.6, 0.6), strict=True):
        top = float(np.percentile(rhythm.onsets, 99))
        if 20 * np.log10(rhythm.peak + 1e-12) > settings.silence_dbfs and top > 0:
            strength[: len(rhythm.onsets)] += weight * rhythm.onsets / top
    top = float(np.percentile(strength, 98))
    if top <= 0:
        return np.array(steady(duration, settings.silent_bpm).beats_s)
    frames = decode_beats(
        np.clip(strength / top, 0, 1),
        _FPS,
        settings.slowest_bpm,
        settings.fastest_bpm,
        settings.likely_bpm,
        settings.tempo_cost,
        settings.prior_weight,
        settings.beat_cost,
    )
    times = frames / _FPS
    return _covering(times, duration) if len(times) > 1 else np.array(steady(duration, settings.silent_bpm).beats_s)


def _covering(times: Doubles, duration: float) -> Doubles:
    """Beats from the first beat period of the song to its end, at the first and last tempo."""
    first, last = float(np.median(np.diff(times[:5]))), float(np.median(np.diff(times[-5:])))
    before = np.maximum(np.arange(times[0] - first, -0.1 * first, -first)[::-1], 0.0)
    after = np.arange(times[-1] + last, duration + last, last)
    return np.concatenate([before, times, after])


def _harmony(source: Source, lowest: int, highest: int) -> Doubles:
    """Log-compressed pitch-class energy from MIDI pitch `lowest` to `highest`, each 93 ms. Shape: (frames, 12)."""
    hz = np.fft.rfftfreq(_HARMONY_WINDOW, 1 / _RATE)
    used = (hz > librosa.midi_to_hz(lowest)) & (hz < librosa.midi_to_hz(highest))
    chroma = librosa.filters.chroma(sr=_RATE, n_fft=_HARMONY_WINDOW, octwidth=None, base_c=True)[:, used]
    parts = [
        np.log1p(1000 * spectrum[:, used]) @ chroma.T
        for spectrum in magnitudes(source, _RATE, _HARMONY_WINDOW, _HARMONY_HOP)
    ]
    return np.concatenate(parts).astype(np.float64)


def _synced(chroma: Doubles, beats: Doubles) -> Doubles:
    """The mean over each beat, to the next one. Shape: (beats, 12)."""
    edges = np.append(beats, beats[-1] + (beats[-1] - beats[-2])) * _RATE / _HARMONY_HOP
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
    edges = np.clip(np.round(edges).astype(int), 0, len(chroma))
    counts = np.maximum(np.diff(edges), 1)[:, None]
    return np.asarray((sums[edges[1:]] - sums[edges[:-1]]) / counts)


def _downbeat_scores(rhythms: list[_Rhythm], chroma: Doubles, bass_chroma: Doubles, beats: Doubles) -> Doubles:
    """How much each beat sounds like the start of a bar: the harmony changes, the bass and the kick enter, no snare."""
    drums, bass, _ = rhythms
    scores = _normal(_novelty(chroma)) + 0.7 * _normal(_novelty(bass_chroma)) + 0.5 * _normal(_near(bass.onsets, beats))
    scores += 0.5 * _normal(_near(drums.low, beats)) - 0.7 * _normal(_near(drums.high, beats))
    return scores


def _novelty(chroma: Doubles) -> Doubles:
    """One minus the likeness of each beat's chroma to that of the beat before."""
    unit = chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    return np.concatenate([[0.0], 1 - (unit[1:] * unit[:-1]).sum(axis=1)])


def _near(strength: Doubles, beats: Doubles) -> Doubles:
    """The strongest onset within 50 ms of each beat."""
    reach = round(0.05 * _FPS)
    padded = np.pad(strength, (reach, reach + 1))
    centre = np.clip(np.round(beats * _FPS).astype(int), 0, len(strength) - 1)
    return np.asarray(np.max([padded[centre + k] for k in range(2 * reach + 1)], axis=0))


def _normal(x: Doubles) -> Doubles:
    return np.asarray((x - x.mean()) / (x.std() + 1e-9))
