"""General MIDI programs and drum kits by name."""

import pretty_midi

from models.core.errors import unknown_name


def _slug(name: str) -> str:
    """Lower case with underscores: "Lead 2 (sawtooth)" -> "lead_2_sawtooth"."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


PROGRAMS = {_slug(name): number for number, name in enumerate(pretty_midi.constants.INSTRUMENT_MAP)}
"""Every General MIDI program by its name in lower case with underscores, such as "acoustic_grand_piano"."""

SHORT_NAMES = {
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
    "lead": "lead_1_square",
    "synth_pad": "pad_2_warm",
    "pad": "pad_2_warm",
}
"""Common short names."""


def program_named(name: str) -> int:
    """The General MIDI program (0-127) of that name; raises `BadInput` with the nearest names.

    Spaces, case and punctuation do not matter, short names are accepted, and so is a program's number.
    """
    if name.strip().isdecimal() and int(name) < 128:
        return int(name)
    slug = _slug(name)
    slug = SHORT_NAMES.get(slug, slug)
    if slug not in PROGRAMS:
        raise unknown_name("instrument", name, [*PROGRAMS, *SHORT_NAMES])
    return PROGRAMS[slug]


KITS = {
    "standard_kit": 0,
    "room_kit": 8,
    "power_kit": 16,
    "electronic_kit": 24,
    "tr_808_kit": 25,
    "jazz_kit": 32,
    "brush_kit": 40,
    "orchestra_kit": 48,
}
"""The drum kits of General MIDI by name."""


def kit_named(name: str) -> int:
    """The program of the drum kit of that name; raises `BadInput` with the nearest names."""
    slug = _slug(name).removesuffix("_kit")
    if f"{slug}_kit" not in KITS:
        raise unknown_name("drum kit", name, [*KITS])
    return KITS[f"{slug}_kit"]
