"""A singer by formant synthesis: a glottal pulse train and breath noise through a moving vocal tract.

The source-filter model of Klatt (1980, "Software for a cascade/parallel formant synthesizer"): pulses are the closed
form of a sum of equal harmonics (band-limited, so nothing aliases), the tract is a cascade of formant resonances
applied frame by frame in the short-time spectrum, consonants are shaped noise. Syllables are phonemes joined by dots; a
note's vowel starts on its onset and its consonants before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.signal.windows import hann

from models.core.types import Note, Samples
from models.synthesis.example_song.composition import SAMPLE_RATE, SungNote

Mono = NDArray[np.float64]
HOP = 192
WINDOW = 768
SPECTRUM = 2048
CONTROL_HZ = SAMPLE_RATE / HOP
FORMANT_BANDWIDTHS_HZ = (95.0, 90.0, 130.0, 180.0)
LA_DA = ("l.uh", "d.a", "n.o", "m.i", "y.u")
"""What is sung where there are no words."""
HIGHER_FORMANTS_HZ = (4700.0, 5800.0, 6900.0, 8000.0, 9200.0, 10500.0, 12000.0)


@dataclass(frozen=True)
class Phoneme:
    """`formants_hz` are F1..F4; `voiced`, `breath` and `hiss` are levels 0..1; the hiss lies around `hiss_hz`."""

    formants_hz: tuple[float, float, float, float]
    voiced: float = 1.0
    breath: float = 0.035
    hiss: float = 0.0
    hiss_hz: float = 6000.0
    seconds: float = 0.08


NEUTRAL = (500.0, 1500.0, 2550.0, 3600.0)
VOWELS = {
    "a": Phoneme((760, 1230, 2600, 3650)),
    "e": Phoneme((560, 1850, 2600, 3700)),
    "i": Phoneme((310, 2280, 3000, 3750), 1.25),
    "o": Phoneme((480, 850, 2550, 3550), 1.25),
    "u": Phoneme((340, 900, 2400, 3500), 1.5),
    "uh": Phoneme((620, 1250, 2500, 3600)),
}
CONSONANTS = {
    "l": Phoneme((360, 1150, 2800, 3600), 0.55, seconds=0.07),
    "m": Phoneme((260, 1000, 2200, 3500), 0.3, seconds=0.08),
    "n": Phoneme((270, 1500, 2500, 3500), 0.3, seconds=0.07),
    "ng": Phoneme((280, 1900, 2500, 3500), 0.35, seconds=0.09),
    "w": Phoneme((310, 700, 2300, 3500), 0.5, seconds=0.07),
    "y": Phoneme((290, 2250, 3000, 3700), 0.5, seconds=0.06),
    "r": Phoneme((400, 1200, 1650, 3400), 0.5, seconds=0.07),
    "v": Phoneme((320, 1200, 2400, 3500), 0.35, 0.04, 0.12, 5500, 0.07),
    "z": Phoneme((300, 1600, 2600, 3600), 0.2, 0.03, 0.35, 7500, 0.08),
    "s": Phoneme(NEUTRAL, 0.0, 0.02, 0.6, 7500, 0.11),
    "f": Phoneme(NEUTRAL, 0.0, 0.06, 0.2, 6500, 0.09),
    "t": Phoneme(NEUTRAL, 0.0, 0.0, 0.0, 5000, 0.06),
    "d": Phoneme((280, 1700, 2600, 3500), 0.12, seconds=0.05),
    "b": Phoneme((250, 900, 2300, 3500), 0.12, seconds=0.05),
    "g": Phoneme((260, 1900, 2300, 3500), 0.1, seconds=0.055),
}
BURSTS_HZ = {"t": 4500.0, "d": 4000.0, "b": 1200.0, "g": 2000.0}
INHALE = Phoneme((650, 1500, 2600, 3600), 0.0, 0.07, 0.0, seconds=0.28)


@dataclass(frozen=True)
class PitchContour:
    """A fundamental frequency through time: `hz[k]` at `k * hop_s` seconds, 0 where unvoiced."""

    hop_s: float
    hz: Mono


@dataclass(frozen=True)
class Singer:
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


def sing(singer: Singer, notes: Sequence[SungNote], frames: int) -> tuple[Mono, PitchContour]:
    """The notes sung: mono samples of `frames` at 44.1 kHz, and the true pitch (a value every 192 / 44100 s)."""
    steps = frames // HOP + 2
    if not notes:
        return np.zeros(frames), PitchContour(HOP / SAMPLE_RATE, np.zeros(steps))
    rng = np.random.default_rng([singer.seed, 1])
    spans, bursts = _spans(notes, singer.late_s)
    controls = _Controls.of(spans, steps, singer.tract)
    hz = _pitch(singer, notes, steps, rng)
    noise = rng.standard_normal(frames)
    pulses = _pulses(hz, frames)
    voiced = np.interp(np.arange(frames), np.arange(steps) * HOP, controls.voiced * _swell(singer, notes, steps))
    breath = np.interp(np.arange(frames), np.arange(steps) * HOP, controls.breath) * singer.breathiness
    hiss = np.interp(np.arange(frames), np.arange(steps) * HOP, controls.hiss)
    for at_s, burst_hz, level in bursts:
        start = max(round(at_s * SAMPLE_RATE), 0)
        length = min(round(0.012 * SAMPLE_RATE), frames - start)
        hiss[start : start + length] += level * np.exp(-np.arange(length) / 150)
        controls.hiss_hz[start // HOP : (start + length) // HOP + 2] = burst_hz
    sound = _through_tract(voiced * pulses + 0.5 * breath * noise, 0.25 * hiss * noise, controls)
    return sound[:frames], PitchContour(HOP / SAMPLE_RATE, np.where(controls.voiced > 0.1, hz, 0.0))


def sing_line(singer: Singer, notes: Sequence[Note], frames: int) -> Samples:
    """Any notes sung on open syllables, one at a time: of those that begin together the last. Shape: (2, frames)."""
    line: list[Note] = []
    for note in notes:
        if line and note.onset_s < line[-1].onset_s + 0.03:
            line.pop()
        if line:
            line[-1] = replace(line[-1], duration_s=min(line[-1].duration_s, note.onset_s - line[-1].onset_s))
        line.append(note)
    sound = sing(singer, [SungNote(note, LA_DA[i % len(LA_DA)]) for i, note in enumerate(line)], frames)[0]
    return np.stack([sound, sound]).astype(np.float32)


def _spans(notes: Sequence[SungNote], late_s: float) -> tuple[list[_Span], list[tuple[float, float, float]]]:
    """When each phoneme sounds, and the bursts of stops as (time in s, centre in Hz, level)."""
    spans: list[_Span] = []
    bursts = []
    end_s = 0.0
    for index, sung in enumerate(notes):
        onset_s = sung.note.onset_s + late_s
        release_s = onset_s + sung.note.duration_s
        level = (sung.note.velocity / 100) ** 1.2
        names = sung.syllable.split(".")
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
        squeeze = min(1.0, 0.5 * sung.note.duration_s / max(sum(lengths), 1e-9))
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

    formants_hz: Mono
    voiced: Mono
    breath: Mono
    hiss: Mono
    hiss_hz: Mono

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
        formants = np.stack([_held(row) for row in formants])
        smooth = np.stack([_smooth(row, 0.055) for row in formants])
        voiced, breath, hiss = (_smooth(row, 0.024) for row in levels)
        return _Controls(smooth, voiced, breath, hiss, hiss_hz)


def _held(row: Mono) -> Mono:
    """Gaps filled by the nearest values beside them, linearly."""
    known = np.flatnonzero(np.isfinite(row))
    return np.interp(np.arange(len(row)), known, row[known])


def _smooth(row: Mono, seconds: float) -> Mono:
    width = max(int(seconds * CONTROL_HZ) | 1, 3)
    kernel = hann(width + 2)[1:-1]
    padded = np.pad(row, width // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")


def _swell(singer: Singer, notes: Sequence[SungNote], steps: int) -> Mono:
    """Each note grows to its middle and gives way to its end, by a third."""
    time = np.arange(steps) / CONTROL_HZ
    loudness = np.full(steps, 0.75)
    for sung in notes:
        through = (time - sung.note.onset_s - singer.late_s) / sung.note.duration_s
        inside = (through >= 0) & (through < 1)
        loudness[inside] += 0.35 * np.sin(np.pi * through[inside] ** 0.7)
    return _smooth(loudness, 0.06)


def _pitch(singer: Singer, notes: Sequence[SungNote], steps: int, rng: np.random.Generator) -> Mono:
    """The fundamental in Hz, one value a hop: notes joined by short glides, a late vibrato and a slow drift."""
    time = np.arange(steps) / CONTROL_HZ
    semitones = np.full(steps, np.nan)
    depth = np.zeros(steps)
    for sung in notes:
        onset_s = sung.note.onset_s + singer.late_s
        stop_s = onset_s + sung.note.duration_s
        inside = (time >= onset_s - 0.03) & (time < stop_s + 0.2)
        semitones[inside] = sung.note.pitch
        scoop = inside & (time < onset_s + 0.09)
        semitones[scoop] -= 0.35 * np.clip(1 - (time[scoop] - onset_s) / 0.09, 0, 1)
        sway = np.clip((time - onset_s - 0.22) / 0.3, 0, 1) * (time < stop_s)
        depth = np.where(inside, sway, depth)
    first = notes[0].note.onset_s
    semitones[time < first] = notes[0].note.pitch
    glided = _smooth(_held(semitones), 0.07)
    rate = singer.vibrato_hz * (1 + 0.05 * _smooth(rng.standard_normal(steps), 0.5) * 5)
    vibrato = singer.vibrato_cents * _smooth(depth, 0.12) * np.sin(2 * np.pi * np.cumsum(rate) / CONTROL_HZ)
    drift = _smooth(rng.standard_normal(steps), 0.25) * singer.drift_cents * 6 + rng.standard_normal(steps) * 1.5
    return np.asarray(440 * 2 ** ((glided - 69) / 12 + (vibrato + drift) / 1200))


def _pulses(hz: Mono, frames: int) -> Mono:
    """Pulses at the pitch `hz` (one value a hop): every harmonic below 15 kHz at equal level, in closed form."""
    per_sample = np.interp(np.arange(frames), np.arange(len(hz)) * HOP, hz)
    phase = 2 * np.pi * np.cumsum(per_sample / SAMPLE_RATE)
    harmonics = np.floor(15000 / per_sample)
    half = np.sin(phase / 2)
    safe = np.where(np.abs(half) < 1e-7, 1.0, half)
    dirichlet = np.where(np.abs(half) < 1e-7, 2 * harmonics + 1, np.sin((harmonics + 0.5) * phase) / safe)
    return np.asarray(0.5 * (dirichlet - 1) / 12)


def _through_tract(source: Mono, hiss: Mono, controls: _Controls) -> Mono:
    """Both sources shaped frame by frame and added, where there is sound; frames are padded for the tract's ringing."""
    frequencies = np.fft.rfftfreq(SPECTRUM, 1 / SAMPLE_RATE).astype(np.float32)[None]
    window = hann(WINDOW, sym=False).astype(np.float32) * np.float32(2 * HOP / WINDOW)
    glottis = _glottis(frequencies)
    padded = np.pad(np.stack([source, hiss]).astype(np.float32), ((0, 0), (WINDOW, WINDOW)))
    output = np.zeros(len(source) + SPECTRUM + WINDOW)
    starts = np.arange(HOP, len(source) + WINDOW, HOP)
    loud = np.abs(padded).max(axis=0) > 0
    counts = np.concatenate([[0], np.cumsum(loud)])
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


def _glottis(frequencies: NDArray[np.float32]) -> NDArray[np.complex64]:
    """What does not move: the glottal pulse's slope with the lips' radiation, and the formants above the fourth."""
    s = 1j * frequencies
    response = s / (s + 60) / (1 + s / 350) / (1 + s / 9000)
    for number, formant in enumerate(HIGHER_FORMANTS_HZ):
        response = response * _resonance(frequencies, np.float32(formant), 180 + 110 * number)
    return np.asarray(response, np.complex64)


def _resonance(
    frequencies: NDArray[np.float32], formant_hz: NDArray[np.float32] | np.float32, bandwidth_hz: float
) -> NDArray[np.complex64]:
    """A pair of poles with unit gain at 0 Hz, at each frequency in Hz."""
    damping = np.float32(bandwidth_hz / 2)
    damped = formant_hz**2 + damping**2
    return np.asarray(damped / ((damped - frequencies**2) + np.complex64(2j) * damping * frequencies), np.complex64)
