"""Singing by formant synthesis: a glottal pulse train and noise through a time-varying vocal tract.

The source-filter model of Klatt (1980, "Software for a cascade/parallel formant synthesizer"): pulses are the closed
form of a sum of equal harmonics (band-limited, so nothing aliases), the tract is a cascade of formant resonances
applied frame by frame in the short-time spectrum, consonants are shaped noise. Syllables are phonemes joined by dots; a
note's vowel starts on its onset and its consonants before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from scipy.signal.windows import hann

from models.core.dtypes import ComplexArray, DoubleArray, FloatArray
from models.core.types import Note, Samples
from models.synthesis.example_song.composition import SAMPLE_RATE, LyricNote
from models.synthesis.example_song.phonemes import BURSTS_HZ, CONSONANTS, INHALE, OPEN_SYLLABLES, VOWELS, Phoneme

HOP = 192
WINDOW = 768
SPECTRUM = 2048
CONTROL_HZ = SAMPLE_RATE / HOP
FORMANT_BANDWIDTHS_HZ = (95.0, 90.0, 130.0, 180.0)
HIGHER_FORMANTS_HZ = (4700.0, 5800.0, 6900.0, 8000.0, 9200.0, 10500.0, 12000.0)


@dataclass(frozen=True)
class PitchContour:
    """A fundamental frequency through time: `hz[k]` at `k * hop_s` seconds, 0 where unvoiced."""

    hop_s: float
    hz: DoubleArray


@dataclass(frozen=True)
class FormantSinger:
    """One voice: `tract` scales the formants (1 is a tenor), depths are in cents, `breathiness` scales the noise."""

    seed: int
    tract: float = 1.0
    vibrato_hz: float = 5.4
    vibrato_cents: float = 38.0
    drift_cents: float = 7.0
    breathiness: float = 1.0
    late_s: float = 0.0


@dataclass(frozen=True)
class _Span:
    start_s: float
    stop_s: float
    phoneme: Phoneme
    level: float


def synthesise_voice(
    singer: FormantSinger, notes: Sequence[LyricNote], frames: int
) -> tuple[DoubleArray, PitchContour]:
    """DoubleArray samples of `frames` at 44.1 kHz, and the true pitch (a value every 192 / 44100 s)."""
    steps = frames // HOP + 2
    if not notes:
        return np.zeros(frames), PitchContour(HOP / SAMPLE_RATE, np.zeros(steps))
    rng = np.random.default_rng([singer.seed, 1])
    spans, bursts = _spans(notes, singer.late_s)
    controls = _Controls.of(spans, steps, singer.tract)
    hz = _pitch(singer, notes, steps, rng)
    noise = rng.standard_normal(frames)
    pulses = _pulses(hz, frames)
    voiced = np.interp(
        np.arange(frames), np.arange(steps) * HOP, controls.voiced * _note_envelope(singer, notes, steps)
    )
    breath = np.interp(np.arange(frames), np.arange(steps) * HOP, controls.breath) * singer.breathiness
    hiss = np.interp(np.arange(frames), np.arange(steps) * HOP, controls.hiss)
    for at_s, burst_hz, level in bursts:
        start = max(round(at_s * SAMPLE_RATE), 0)
        length = min(round(0.012 * SAMPLE_RATE), frames - start)
        hiss[start : start + length] += level * np.exp(-np.arange(length) / 150)
        controls.hiss_hz[start // HOP : (start + length) // HOP + 2] = burst_hz
    sound = _apply_tract(voiced * pulses + 0.5 * breath * noise, 0.25 * hiss * noise, controls)
    return sound[:frames], PitchContour(HOP / SAMPLE_RATE, np.where(controls.voiced > 0.1, hz, 0.0))


def synthesise_line(singer: FormantSinger, notes: Sequence[Note], frames: int) -> Samples:
    """Any notes on open syllables, monophonic: of simultaneous onsets the last is kept. Shape: (2, frames)."""
    line: list[Note] = []
    for note in notes:
        if line and note.onset_s < line[-1].onset_s + 0.03:
            line.pop()
        if line:
            line[-1] = replace(line[-1], duration_s=min(line[-1].duration_s, note.onset_s - line[-1].onset_s))
        line.append(note)
    sound = synthesise_voice(
        singer, [LyricNote(note, OPEN_SYLLABLES[i % len(OPEN_SYLLABLES)]) for i, note in enumerate(line)], frames
    )[0]
    return np.stack([sound, sound]).astype(np.float32)


def _spans(notes: Sequence[LyricNote], late_s: float) -> tuple[list[_Span], list[tuple[float, float, float]]]:
    """Start and end of each phoneme, and the bursts of stops as (time in s, centre in Hz, level)."""
    spans: list[_Span] = []
    bursts = []
    end_s = 0.0
    for index, lyric_note in enumerate(notes):
        onset_s = lyric_note.note.onset_s + late_s
        release_s = onset_s + lyric_note.note.duration_s
        level = (lyric_note.note.velocity / 100) ** 1.2
        names = lyric_note.syllable.split(".")
        nucleus = next(i for i, name in enumerate(names) if name in VOWELS)
        start_s = onset_s - sum(CONSONANTS[name].seconds for name in names[:nucleus])
        if start_s - end_s > 0.22 or index == 0:
            inhaled_s = start_s - 0.04
            spans.append(_Span(max(inhaled_s - INHALE.seconds, end_s, 0), inhaled_s, INHALE, 0.9))
        elif spans and start_s < spans[-1].stop_s:
            spans[-1] = _Span(spans[-1].start_s, max(start_s, spans[-1].start_s), spans[-1].phoneme, spans[-1].level)
        at = start_s
        for name in names[:nucleus]:
            spans.append(_Span(at, at + CONSONANTS[name].seconds, CONSONANTS[name], level))
            at += CONSONANTS[name].seconds
            if name in BURSTS_HZ:
                bursts.append((at - 0.012, BURSTS_HZ[name], 0.8 if name == "t" else 0.35))
        tail = names[nucleus + 1 :]
        lengths = [0.13 if name in VOWELS else CONSONANTS[name].seconds for name in tail]
        squeeze = min(1.0, 0.5 * lyric_note.note.duration_s / max(sum(lengths), 1e-9))
        at = release_s - squeeze * sum(lengths)
        spans.append(_Span(onset_s, at, VOWELS[names[nucleus]], level))
        for name, length in zip(tail, lengths, strict=True):
            phoneme = VOWELS.get(name) or CONSONANTS[name]
            spans.append(_Span(at, at + squeeze * length, phoneme, level))
            at += squeeze * length
            if name == "t":
                bursts.append((at, BURSTS_HZ[name], 0.5))
        end_s = release_s
    return spans, bursts


@dataclass(frozen=True)
class _Controls:
    """The tract's controls, one value a hop: formants (4, steps) in Hz and levels (steps,)."""

    formants_hz: DoubleArray
    voiced: DoubleArray
    breath: DoubleArray
    hiss: DoubleArray
    hiss_hz: DoubleArray

    @staticmethod
    def of(spans: Sequence[_Span], steps: int, tract: float) -> "_Controls":
        """Targets held for each phoneme, then smoothed: formants over 55 ms, levels over 20 ms."""
        formants = np.full((4, steps), np.nan)
        levels = np.zeros((3, steps))
        hiss_hz = np.full(steps, 6000.0)
        for span in spans:
            part = slice(round(span.start_s * CONTROL_HZ), round(span.stop_s * CONTROL_HZ))
            formants[:, part] = np.array(span.phoneme.formants_hz)[:, None] * tract
            phoneme = span.phoneme
            levels[:, part] = np.array([[phoneme.voiced], [phoneme.breath], [phoneme.hiss]]) * span.level
            hiss_hz[part] = phoneme.hiss_hz
        formants = np.stack([_interpolated_gaps(row) for row in formants])
        smooth = np.stack([_smooth(row, 0.055) for row in formants])
        voiced, breath, hiss = (_smooth(row, 0.024) for row in levels)
        return _Controls(smooth, voiced, breath, hiss, hiss_hz)


def _interpolated_gaps(row: DoubleArray) -> DoubleArray:
    """Gaps interpolated linearly."""
    known = np.flatnonzero(np.isfinite(row))
    return np.interp(np.arange(len(row)), known, row[known])


def _smooth(row: DoubleArray, seconds: float) -> DoubleArray:
    width = max(int(seconds * CONTROL_HZ) | 1, 3)
    kernel = hann(width + 2)[1:-1]
    padded = np.pad(row, width // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")


def _note_envelope(singer: FormantSinger, notes: Sequence[LyricNote], steps: int) -> DoubleArray:
    """An envelope that rises by a third to each note's middle and falls to its end."""
    time = np.arange(steps) / CONTROL_HZ
    loudness = np.full(steps, 0.75)
    for lyric_note in notes:
        through = (time - lyric_note.note.onset_s - singer.late_s) / lyric_note.note.duration_s
        inside = (through >= 0) & (through < 1)
        loudness[inside] += 0.35 * np.sin(np.pi * through[inside] ** 0.7)
    return _smooth(loudness, 0.06)


def _pitch(singer: FormantSinger, notes: Sequence[LyricNote], steps: int, rng: np.random.Generator) -> DoubleArray:
    """The fundamental in Hz, one value a hop: notes joined by short glides, a late vibrato and a slow drift."""
    time = np.arange(steps) / CONTROL_HZ
    semitones = np.full(steps, np.nan)
    depth = np.zeros(steps)
    for lyric_note in notes:
        onset_s = lyric_note.note.onset_s + singer.late_s
        stop_s = onset_s + lyric_note.note.duration_s
        inside = (time >= onset_s - 0.03) & (time < stop_s + 0.2)
        semitones[inside] = lyric_note.note.pitch
        scoop = inside & (time < onset_s + 0.09)
        semitones[scoop] -= 0.35 * np.clip(1 - (time[scoop] - onset_s) / 0.09, 0, 1)
        sway = np.clip((time - onset_s - 0.22) / 0.3, 0, 1) * (time < stop_s)
        depth = np.where(inside, sway, depth)
    first = notes[0].note.onset_s
    semitones[time < first] = notes[0].note.pitch
    glided = _smooth(_interpolated_gaps(semitones), 0.07)
    rate = singer.vibrato_hz * (1 + 0.05 * _smooth(rng.standard_normal(steps), 0.5) * 5)
    vibrato = singer.vibrato_cents * _smooth(depth, 0.12) * np.sin(2 * np.pi * np.cumsum(rate) / CONTROL_HZ)
    drift = _smooth(rng.standard_normal(steps), 0.25) * singer.drift_cents * 6 + rng.standard_normal(steps) * 1.5
    return np.asarray(440 * 2 ** ((glided - 69) / 12 + (vibrato + drift) / 1200))


def _pulses(hz: DoubleArray, frames: int) -> DoubleArray:
    """Pulses at the pitch `hz` (one value a hop): every harmonic below 15 kHz at equal level, in closed form."""
    per_sample = np.interp(np.arange(frames), np.arange(len(hz)) * HOP, hz)
    phase = 2 * np.pi * np.cumsum(per_sample / SAMPLE_RATE)
    harmonics = np.floor(15000 / per_sample)
    half = np.sin(phase / 2)
    safe = np.where(np.abs(half) < 1e-7, 1.0, half)
    dirichlet = np.where(np.abs(half) < 1e-7, 2 * harmonics + 1, np.sin((harmonics + 0.5) * phase) / safe)
    return np.asarray(0.5 * (dirichlet - 1) / 12)


def _apply_tract(source: DoubleArray, hiss: DoubleArray, controls: _Controls) -> DoubleArray:
    """Both sources filtered frame by frame and overlap-added, where there is sound; padded for the filters' ringing."""
    frequencies = np.fft.rfftfreq(SPECTRUM, 1 / SAMPLE_RATE).astype(np.float32)[None]
    window = hann(WINDOW, sym=False).astype(np.float32) * np.float32(2 * HOP / WINDOW)
    glottis = _static_response(frequencies)
    padded = np.pad(np.stack([source, hiss]).astype(np.float32), ((0, 0), (WINDOW, WINDOW)))
    output = np.zeros(len(source) + SPECTRUM + WINDOW)
    starts = np.arange(HOP, len(source) + WINDOW, HOP)
    nonzero = np.abs(padded).max(axis=0) > 0
    counts = np.concatenate([[0], np.cumsum(nonzero)])
    starts = starts[counts[starts + WINDOW] > counts[starts]]
    for batch in np.array_split(starts, max(1, len(starts) // 256)):
        steps = np.clip((batch - WINDOW // 2) // HOP, 0, controls.voiced.size - 1)
        sources = scipy.fft.rfft(padded[:, batch[:, None] + np.arange(WINDOW)] * window, SPECTRUM)
        tract = glottis
        for formant, bandwidth in zip(controls.formants_hz[:, steps], FORMANT_BANDWIDTHS_HZ, strict=True):
            tract = tract * _resonance(frequencies, formant[:, None].astype(np.float32), bandwidth)
        centre = controls.hiss_hz[steps, None].astype(np.float32)
        band = np.exp(-(((frequencies - centre) / (0.35 * centre + 500)) ** 2))
        for start, sound in zip(batch, scipy.fft.irfft(tract * sources[0] + band * sources[1], SPECTRUM), strict=True):
            output[start : start + SPECTRUM] += sound
    return output[WINDOW : WINDOW + len(source)]


def _static_response(frequencies: FloatArray) -> ComplexArray:
    """The time-invariant response: glottal slope with lip radiation, and the formants above the fourth."""
    s = 1j * frequencies
    response = s / (s + 60) / (1 + s / 350) / (1 + s / 9000)
    for number, formant in enumerate(HIGHER_FORMANTS_HZ):
        response = response * _resonance(frequencies, np.float32(formant), 180 + 110 * number)
    return np.asarray(response, np.complex64)


def _resonance(frequencies: FloatArray, formant_hz: FloatArray | np.float32, bandwidth_hz: float) -> ComplexArray:
    """A pair of poles with unit gain at 0 Hz, at each frequency in Hz."""
    damping = np.float32(bandwidth_hz / 2)
    damped = formant_hz**2 + damping**2
    return np.asarray(damped / ((damped - frequencies**2) + np.complex64(2j) * damping * frequencies), np.complex64)
