"""General MIDI instruments by name, and which of them sounds most like a stem."""

from dataclasses import dataclass

import numpy as np
import pretty_midi

from models.errors import unknown_name
from models.records import Note, Source


def _slug(name: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    return "_".join(words)


PROGRAMS = {_slug(name): number for number, name in enumerate(pretty_midi.constants.INSTRUMENT_MAP)}
"""Every General MIDI programme by its name in lower case with underscores, such as "acoustic_grand_piano"."""

_SHORT = {
    "piano": "acoustic_grand_piano",
    "electric_piano": "electric_piano_1",
    "organ": "drawbar_organ",
    "nylon_guitar": "acoustic_guitar_nylon",
    "guitar": "acoustic_guitar_steel",
    "electric_guitar": "electric_guitar_clean",
    "bass": "electric_bass_finger",
    "strings": "string_ensemble_1",
    "choir": "choir_aahs",
    "brass": "brass_section",
    "sax": "alto_sax",
    "saxophone": "alto_sax",
    "synth_lead": "lead_1_square",
    "synth_pad": "pad_2_warm",
    "pad": "pad_2_warm",
    "lead": "lead_1_square",
}


def program_named(name: str) -> int:
    """The General MIDI programme (0-127) of that name; raises `BadInput` with the nearest names.

    Spaces, case and punctuation do not matter, and common short names are known.

    >>> program_named("Electric Piano"), program_named("slap_bass_1"), program_named("40")
    (4, 36, 40)
    """
    slug = _slug(name)
    if slug.isdigit() and int(slug) < 128:
        return int(slug)
    slug = _SHORT.get(slug, slug)
    if slug not in PROGRAMS:
        raise unknown_name("instrument", name, [*PROGRAMS, *_SHORT])
    return PROGRAMS[slug]


@dataclass(frozen=True)
class Timbre:
    """What a stem sounds like.

    `brightness_hz` is the centre of gravity of its spectrum, `attack_s` the time from an onset to the loudest moment,
    `sustain` how much of the loudness is left half way through a note (0 plucked .. 1 bowed).
    """

    brightness_hz: float
    attack_s: float
    sustain: float


def timbre(source: Source, notes: tuple[Note, ...], at_most: int = 200) -> Timbre:
    """The timbre of a stem, measured at (at most) that many of its loudest notes; medians over them."""
    chosen = sorted(
        sorted(notes, key=lambda n: -n.velocity * min(n.duration_s, 1.0))[:at_most], key=lambda n: n.onset_s
    )
    measured = [_of_note(source, note) for note in chosen if note.duration_s >= 0.1]
    if not measured:
        return Timbre(1000.0, 0.02, 0.5)
    brightness, attack, sustain = np.median(np.array(measured), axis=0)
    return Timbre(float(brightness), float(attack), float(sustain))


def _of_note(source: Source, note: Note) -> tuple[float, float, float]:
    """Brightness (Hz), attack (s) and sustain (0..1) of one note."""
    rate = source.sample_rate
    start = round((note.onset_s - 0.03) * rate)
    stop = round((note.onset_s + min(note.duration_s, 1.0)) * rate)
    samples = source.read(start, stop).mean(axis=0)
    hop = max(round(0.005 * rate), 1)
    level = np.sqrt(np.mean(samples[: len(samples) // hop * hop].reshape(-1, hop) ** 2, axis=1) + 1e-12)
    early = level[: min(len(level), 46)]
    peak = int(early.argmax())
    first = int(np.argmax(early >= 0.2 * early[peak]))
    half = level[len(level) // 2 : len(level) // 2 + 8].mean()
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 0.5
    brightness = float((spectrum * np.fft.rfftfreq(len(samples), 1 / rate)).sum() / (spectrum.sum() + 1e-9))
    return brightness, (peak - first) * hop / rate, min(float(half / level.max()), 1.0)


def auto_program(source: Source, notes: tuple[Note, ...], role: str) -> int:
    """The General MIDI programme (0-127) that suits a stem best, from its brightness, attack and sustain.

    `role` is "bass", "vocals" or "other".
    """
    sound = timbre(source, notes)
    if role == "bass":
        return program_named(_bass(sound))
    if role == "vocals":
        return program_named("flute" if sound.brightness_hz > 2500 else "clarinet")
    return program_named(_other(sound))


def _bass(sound: Timbre) -> str:
    if sound.attack_s < 0.06:
        return "electric_bass_pick" if sound.brightness_hz > 1500 else "electric_bass_finger"
    return "synth_bass_1" if sound.sustain > 0.5 else "fretless_bass"


def _other(sound: Timbre) -> str:
    if sound.attack_s > 0.08 and sound.sustain > 0.5:
        return "string_ensemble_1" if sound.brightness_hz > 1500 else "pad_2_warm"
    if sound.sustain > 0.7:
        return "drawbar_organ" if sound.brightness_hz < 2500 else "brass_section"
    if sound.brightness_hz > 3000:
        return "acoustic_guitar_steel"
    return "electric_piano_1" if sound.brightness_hz < 1200 else "acoustic_grand_piano"
