"""Choice of a stem's General MIDI program: its notes are rendered with each candidate and compared by timbre."""

from dataclasses import dataclass

import numpy as np

from models.core.dtypes import FloatArray
from models.core.types import Note, Score, Source, Track
from models.symbolic.general_midi import program_named
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render

CHOICES = {
    "bass": (
        "acoustic_bass",
        "electric_bass_finger",
        "electric_bass_pick",
        "fretless_bass",
        "slap_bass_1",
        "synth_bass_1",
        "synth_bass_2",
    ),
    "vocals": ("flute", "clarinet", "oboe", "alto_sax", "violin", "voice_oohs", "lead_1_square"),
    "guitar": (
        "acoustic_guitar_nylon",
        "acoustic_guitar_steel",
        "electric_guitar_jazz",
        "electric_guitar_clean",
        "electric_guitar_muted",
        "overdriven_guitar",
        "distortion_guitar",
    ),
    "piano": (
        "acoustic_grand_piano",
        "bright_acoustic_piano",
        "electric_piano_1",
        "electric_piano_2",
    ),
    "other": (
        "acoustic_grand_piano",
        "electric_piano_1",
        "vibraphone",
        "drawbar_organ",
        "church_organ",
        "acoustic_guitar_nylon",
        "acoustic_guitar_steel",
        "electric_guitar_clean",
        "distortion_guitar",
        "string_ensemble_1",
        "synth_strings_1",
        "brass_section",
        "lead_2_sawtooth",
        "pad_2_warm",
    ),
}
"""Candidate instruments by role."""

_RATE = 22_050
_PASSAGE_S = 4.0
_PASSAGES = 2
_HOP = 220
_BANDS_HZ = np.geomspace(60, 10_000, 25)
_AFTER_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.3, 0.5)


@dataclass(frozen=True, eq=False)
class Timbre:
    """A passage's timbre, independent of its loudness.

    `spectrum`: level of each of 24 bands in dB, mean 0; `envelope`: level after an onset at each of `_AFTER_S`, in dB
    below the loudest of them.
    """

    spectrum: FloatArray
    envelope: FloatArray


def timbre(samples: FloatArray, sample_rate: int, onsets_s: tuple[float, ...]) -> Timbre:
    """The timbre of one channel of audio whose notes start at `onsets_s`. Shape: (frames,)."""
    hop = max(round(_HOP * sample_rate / _RATE), 1)
    size = 1 << int(np.log2(8 * hop))
    padded = np.pad(samples, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(samples) : hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32), axis=1)) ** 2
    band = np.searchsorted(_BANDS_HZ, np.fft.rfftfreq(size, 1 / sample_rate))
    mean = power.mean(axis=0)
    energy = np.array([mean[band == i].sum() for i in range(1, len(_BANDS_HZ))])
    spectrum = 10 * np.log10(np.maximum(energy, energy.max() * 1e-6) + 1e-20)
    level = np.sqrt(power.sum(axis=1))
    rows = np.array([[(onset + after) * sample_rate / hop for after in _AFTER_S] for onset in onsets_s])
    after = level[np.clip(np.round(rows).astype(int), 0, len(level) - 1)]
    curve = 20 * np.log10(np.median(after / (after.max(axis=1, keepdims=True) + 1e-9), axis=0) + 1e-3)
    return Timbre((spectrum - spectrum.mean()).astype(np.float32), (curve - curve.max()).astype(np.float32))


def auto_program(source: Source, notes: tuple[Note, ...], role: str) -> int:
    """The General MIDI program (0-127) nearest in timbre to a stem when it plays the stem's notes.

    `role` is one of `CHOICES`. Compares up to two passages of four seconds with the most notes; without notes it is the
    role's first choice.
    """
    programs = [program_named(name) for name in CHOICES[role]]
    passages = _busiest_passages(notes)
    if not passages:
        return programs[0]
    distances = np.zeros(len(programs))
    for start_s, notes_in_passage in passages:
        low = round(start_s * source.sample_rate)
        passage = source.read(low, low + round(_PASSAGE_S * source.sample_rate)).mean(axis=0)
        onsets = tuple(sorted({n.onset_s for n in notes_in_passage}))
        stem = timbre(passage, source.sample_rate, onsets)
        for i, program in enumerate(programs):
            track = Track(role, program, False, notes_in_passage)
            blocks = render(Score((track,)), round(_PASSAGE_S * _RATE), _RATE, RenderSettings())
            other = timbre(np.concatenate(list(blocks), axis=1).mean(axis=0), _RATE, onsets)
            distances[i] += _distance(stem, other)
    return programs[int(distances.argmin())]


def _distance(one: Timbre, other: Timbre) -> float:
    """Distance of two timbres in dB; bands 40 dB below the strongest have no weight."""
    weight = np.maximum(one.spectrum, other.spectrum)
    weight = np.clip(1 + (weight - weight.max()) / 40, 0, 1)
    spectrum = float((weight * np.abs(one.spectrum - other.spectrum)).sum() / weight.sum())
    return spectrum + float(np.abs(one.envelope - other.envelope).mean())


def _busiest_passages(notes: tuple[Note, ...]) -> list[tuple[float, tuple[Note, ...]]]:
    """The passages with the most notes: where each starts, and its notes in seconds from there."""
    by_passage: dict[int, list[Note]] = {}
    for note in notes:
        by_passage.setdefault(int(note.onset_s // _PASSAGE_S), []).append(note)
    chosen = sorted(by_passage, key=lambda i: (-len(by_passage[i]), i))[:_PASSAGES]
    passages = []
    for index in sorted(chosen):
        start = index * _PASSAGE_S
        shifted = (Note(n.onset_s - start, n.duration_s, n.pitch, n.velocity) for n in by_passage[index])
        passages.append((start, tuple(shifted)))
    return passages
