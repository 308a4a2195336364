"""Who sings what, and in which key: the lead, the singers behind it, and whether the band moves along."""

from dataclasses import dataclass, replace

import numpy as np

from flows.options import Choices
from models.analysis.f0 import F0
from models.conversion.key_shift import key_shift_for, notes_outside_range
from models.conversion.voices.registry import card, consent, find_voice, note_name
from models.core.types import Clip, Contour, Grid, Score, Stems, Voices
from models.symbolic.score_ops import transposed
from tasks.runs.provenance import Singer
from tasks.stages.convert import revoice
from tasks.stages.transpose import transpose

KEEP_SINGER = "none"
"""The voice that leaves a singer as they are."""
SAME = "same"
"""The backing voice that is whoever sings the lead."""


@dataclass(frozen=True)
class Casting:
    """The lead's voice and the backing singers' ("none" leaves them), the semitones that both and the band move by."""

    lead: str
    behind: str
    shift: int
    band_shift: int

    @property
    def singers(self) -> tuple[Singer, ...]:
        """The voices that sing, with the grounds on which they may; raises `BadInput` where one may not."""
        parts = {"lead": self.lead, "backing": self.behind}
        return tuple(
            Singer(part, voice, consent(find_voice(voice)).ground)
            for part, voice in parts.items()
            if voice != KEEP_SINGER
        )


def cast(pitch: Contour, sings: bool, choices: Choices) -> Casting:
    """Who sings, by what was chosen and by where the song lies for the voice."""
    lead = choices.voice if sings else KEEP_SINGER
    behind = lead if choices.backing_voice == SAME else choices.backing_voice
    if lead == KEEP_SINGER:
        return Casting(lead, behind if sings else KEEP_SINGER, 0, 0)
    given = choices.settings.revoice.key_shift
    shift = key_shift_for(_f0(pitch), card(find_voice(lead)).range) if given is None else given
    return Casting(lead, behind, shift, nearest(shift) if choices.transpose_backing else 0)


def nearest(shift: int) -> int:
    """The least move that brings a band into the key of a voice that moved by so many semitones: octaves are none.

    >>> [nearest(shift) for shift in (0, 12, -7, 5, 7)]
    [0, 0, 5, 5, -5]
    """
    return (shift + 6) % 12 - 6


def sing_behind(voices: Voices, casting: Casting, choices: Choices, on: str) -> Clip:
    """The backing singers, in the voice that was chosen for them, in the key of the lead or of the band."""
    if casting.behind == KEEP_SINGER:
        return transpose(voices.backing_vocals, casting.band_shift) if casting.band_shift else voices.backing_vocals
    settings = replace(choices.settings.revoice, key_shift=casting.shift)
    return revoice(voices.backing_vocals, casting.behind, settings, choices.seed, on)


def moved(stems: Stems, score: Score, grid: Grid, semitones: int, heard: bool) -> tuple[Stems, Score, Grid]:
    """The band in another key: its notes and chords, and where the stems themselves are heard, those too."""
    if not semitones:
        return stems, score, grid
    if heard:
        stems = replace(stems, bass=transpose(stems.bass, semitones), other=transpose(stems.other, semitones))
    return stems, *transposed(score, grid, semitones)


def notes_on_voice(pitch: Contour, casting: Casting) -> tuple[str, ...]:
    """What the listener should know of the singing, a sentence each."""
    said = []
    behind = [f"The backing vocals are sung by {s.voice} ({s.ground})." for s in casting.singers if s.part == "backing"]
    if casting.lead == KEEP_SINGER:
        return tuple(behind)
    if casting.shift:
        way = "up" if casting.shift > 0 else "down"
        said.append(f"The lead was moved {abs(casting.shift)} semitones {way} for {casting.lead}.")
    vocal_range = card(find_voice(casting.lead)).range
    outside = notes_outside_range(_f0(pitch), vocal_range, casting.shift) if vocal_range.seconds else {}
    if sum(outside.values()) >= 0.1:
        named = ", ".join(f"{note_name(p)} ({s:.1f} s)" for p, s in outside.items() if s >= 0.05)
        said.append(f"Notes that {casting.lead} was never heard on, and may sing badly: {named}.")
    if behind:
        said += behind
    elif nearest(casting.shift) != casting.band_shift:
        said.append("The band and the backing vocals stayed in their key, which is not the lead's any more.")
    return tuple(said)


def _f0(pitch: Contour) -> F0:
    return F0(np.array(pitch.hz, np.float32), pitch.hop_s)
