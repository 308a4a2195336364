"""Every stage, imported: so that a kept record of any of them is known by its type."""

from tasks.stages.analyse import listen
from tasks.stages.convert import revoice
from tasks.stages.extend import accompany, extend
from tasks.stages.measure import appraise
from tasks.stages.mix import mix_takes, mixdown
from tasks.stages.render import render
from tasks.stages.separate import part_voices, separate
from tasks.stages.track_f0 import follow_pitch
from tasks.stages.transcribe import transcribe
from tasks.stages.transpose import transpose

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
