"""Where networks compute, and how precisely: what `--device` and the stages' `precision` say on this machine.

Found out without importing torch where there is no GPU.
"""

import ctypes
import sys
from dataclasses import replace
from pathlib import Path

from flows.options import Device
from flows.stage_settings import StageSettings
from models.core.errors import BadInput
from models.separation import precision

ROCM = Path("/dev/kfd")
"""The driver of AMD's GPUs, which torch calls CUDA devices too."""


def resolved(device: Device) -> str:
    """The device to compute on: "auto" is CUDA where there is one; raises `BadInput` for CUDA where there is none."""
    there = device != "cpu" and has_cuda()
    if device == "cuda" and not there:
        raise BadInput("This machine has no CUDA device that torch can use; leave --device at auto, or say cpu.")
    return "cuda" if there else "cpu"


def in_precision(settings: StageSettings, on: str) -> StageSettings:
    """The settings with "auto" as the precision that it stands for on a device, so that results are kept under that.

    Raises `BadInput` for a precision that the device is not for.
    """
    apart, parted = (precision.resolved(s.precision, on) for s in (settings.separate, settings.split_vocals))
    return replace(
        settings,
        separate=replace(settings.separate, precision=apart),
        split_vocals=replace(settings.split_vocals, precision=parted),
    )


def has_cuda() -> bool:
    """Whether torch can use a CUDA device; torch, which takes seconds to import, is not asked where no driver is."""
    if sys.platform == "linux" and not ROCM.exists():
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return False
    from models.core.device import cuda_usable

    return cuda_usable()
