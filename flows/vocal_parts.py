"""Who sings which part and in which key: the lead, the backing vocals, and whether the band is transposed along."""

from dataclasses import dataclass, replace

import numpy as np

from flows.options import KEEP_SINGER, SAME, RemixOptions
from flows.stage_settings import StageSettings
from models.analysis.f0 import F0
from models.conversion.key_shift import key_shift_for, notes_outside_range
from models.conversion.settings import ConvertSettings
from models.conversion.voices.registry import card, consent, find_voice, note_name
from models.core.types import Clip, Contour, Grid, Score, Stems, Voices
from models.symbolic.score_ops import transpose_score
from tasks.runs.provenance import Singer
from tasks.stages.convert import convert
from tasks.stages.transpose import transpose

LEAST_UNHEARD_S = 0.1
"""Seconds outside the voice's range from which on they are worth a sentence."""


@dataclass(frozen=True)
class VocalParts:
    """The voices of lead and backing vocals ("none" keeps the singers), and the semitones voices and band move by."""

    lead: str
    behind: str
    shift: int
    band_shift: int

    @property
    def converted(self) -> bool:
        """Whether the lead is converted at all."""
        return self.lead != KEEP_SINGER

    @property
    def singers(self) -> tuple[Singer, ...]:
        """The voices that sing, with the grounds of their consent; raises `BadInput` where one lacks it."""
        parts = {"lead": self.lead, "backing": self.behind}
        return tuple(
            Singer(part, voice, consent(find_voice(voice)).ground)
            for part, voice in parts.items()
            if voice != KEEP_SINGER
        )


def vocal_parts(f0: Contour, sings: bool, options: RemixOptions, settings: StageSettings) -> VocalParts:
    """The voices by what was chosen, and the transposition by where the song lies in the voice's range."""
    lead = options.voice if sings else KEEP_SINGER
    behind = lead if options.backing_voice == SAME else options.backing_voice
    if lead == KEEP_SINGER:
        return VocalParts(lead, behind if sings else KEEP_SINGER, 0, 0)
    given = settings.convert.key_shift
    shift = key_shift_for(_track(f0), card(find_voice(lead)).range) if given is None else given
    return VocalParts(lead, behind, shift, nearest(shift) if options.transpose_backing else 0)


def nearest(shift: int) -> int:
    """The least transposition of a band into the key of a voice that was moved by so many semitones: octaves are none.

    >>> [nearest(shift) for shift in (0, 12, -7, 5, 7)]
    [0, 0, 5, 5, -5]
    """
    return (shift + 6) % 12 - 6


def backing_vocals(voices: Voices, parts: VocalParts, settings: ConvertSettings, seed: int, device: str) -> Clip:
    """The backing vocals in the voice that was chosen for them, in the key of the lead or of the band."""
    if parts.behind == KEEP_SINGER:
        return transpose(voices.backing_vocals, parts.band_shift) if parts.band_shift else voices.backing_vocals
    return convert(voices.backing_vocals, parts.behind, replace(settings, key_shift=parts.shift), seed, device)


def transposed_band(
    stems: Stems, score: Score, grid: Grid, semitones: int, with_stems: bool
) -> tuple[Stems, Score, Grid]:
    """The band in another key: its notes and chords and, where the stems themselves are mixed, those too."""
    if not semitones:
        return stems, score, grid
    if with_stems:
        stems = replace(stems, bass=transpose(stems.bass, semitones), other=transpose(stems.other, semitones))
    return stems, *transpose_score(score, grid, semitones)


def notes_on_voice(f0: Contour, parts: VocalParts) -> tuple[str, ...]:
    """What the listener should know of the singing, a sentence each."""
    notes = []
    behind = [
        f"The backing vocals are converted to {s.voice} ({s.ground})." for s in parts.singers if s.part == "backing"
    ]
    if not parts.converted:
        return tuple(behind)
    if parts.shift:
        way = "up" if parts.shift > 0 else "down"
        notes.append(f"The lead was transposed {abs(parts.shift)} semitones {way} for {parts.lead}.")
    reach = card(find_voice(parts.lead)).range
    outside = notes_outside_range(_track(f0), reach, parts.shift) if reach.seconds else {}
    if sum(outside.values()) >= LEAST_UNHEARD_S:
        named = ", ".join(f"{note_name(p)} ({s:.1f} s)" for p, s in outside.items() if s >= 0.05)
        notes.append(f"Notes outside the range that {parts.lead} was trained on: {named}.")
    if behind:
        notes += behind
    elif nearest(parts.shift) != parts.band_shift:
        notes.append("The band and the backing vocals stayed in their key, which is not the lead's any more.")
    return tuple(notes)


def _track(f0: Contour) -> F0:
    return F0(np.array(f0.hz, np.float32), f0.hop_s)
