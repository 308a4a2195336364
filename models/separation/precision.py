"""The precision of separation: "auto" resolved on a device, float16 refused on a CPU."""

import re
from pathlib import Path

from models.core.errors import BadInput

PRECISIONS = ("float32", "bfloat16", "float16", "auto")
_CPU = Path("/proc/cpuinfo")
_NATIVE = {"amx_bf16", "avx512_bf16", "bf16"}
"""Linux' CPU flags of native bfloat16 multiplication: Intel's, Intel's and AMD's, ARM's."""


def resolved(precision: str, device: str) -> str:
    """The precision used on a device: "auto" is bfloat16 where it is computed natively, float32 elsewhere.

    Raises `BadInput` for float16 on a CPU, which is slower there than float32.

    >>> resolved("float32", "cpu")
    'float32'
    """
    if precision == "float16" and not device.startswith("cuda"):
        raise BadInput("The precision float16 is for a GPU only; on a CPU say bfloat16 or float32.")
    if precision != "auto":
        return precision
    return "bfloat16" if (_on_gpu() if device.startswith("cuda") else _on_cpu()) else "float32"


def _on_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _on_cpu() -> bool:
    """Whether the processor multiplies bfloat16 natively, by its flags, since importing torch takes seconds."""
    try:
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", _CPU.read_text(), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and not _NATIVE.isdisjoint(flags[1].split())
