"""Phonemes of the formant synthesizer: formants, levels of voicing and noise, durations."""

from dataclasses import dataclass

OPEN_SYLLABLES = ("l.uh", "d.a", "n.o", "m.i", "y.u")
"""The syllables of notes without lyrics."""


@dataclass(frozen=True)
class Phoneme:
    """`formants_hz` are F1..F4; `voiced`, `breath` and `hiss` are levels 0..1; the hiss is centred at `hiss_hz`."""

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
