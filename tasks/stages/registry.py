"""Every stage, imported: so that a kept record of any of them is known by its type."""

from tasks.stages.accompany import accompany
from tasks.stages.analyse import analyse
from tasks.stages.convert import convert
from tasks.stages.extend import extend
from tasks.stages.measure import measure
from tasks.stages.mix import mix, mix_takes
from tasks.stages.render import render
from tasks.stages.separate import separate
from tasks.stages.split_vocals import split_vocals
from tasks.stages.track_f0 import track_f0
from tasks.stages.transcribe import transcribe
from tasks.stages.transpose import transpose

__all__ = [
    "accompany",
    "analyse",
    "convert",
    "extend",
    "measure",
    "mix",
    "mix_takes",
    "render",
    "separate",
    "split_vocals",
    "track_f0",
    "transcribe",
    "transpose",
]
