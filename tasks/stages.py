"""Every stage, imported: so that a kept record of any of them is known by its type."""

from tasks.appraise import appraise
from tasks.extend import accompany, extend
from tasks.follow_pitch import follow_pitch
from tasks.listen import listen
from tasks.mixdown import mix_takes, mixdown
from tasks.render import render
from tasks.revoice import revoice
from tasks.separate import part_voices, separate
from tasks.transcribe import transcribe
from tasks.transpose import transpose

__all__ = [
    "accompany",
    "appraise",
    "extend",
    "follow_pitch",
    "listen",
    "mix_takes",
    "mixdown",
    "part_voices",
    "render",
    "revoice",
    "separate",
    "transcribe",
    "transpose",
]
