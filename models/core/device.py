"""CUDA devices: whether torch can use one, and networks moved to it in true float32."""

import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Network = TypeVar("Network", bound="torch.nn.Module")


def cuda_usable() -> bool:
    """Whether there is a CUDA device that this build of torch has kernels for.

    `torch.cuda.is_available` is true without kernels, too; the first operation then fails.
    """
    import torch

    if not torch.cuda.is_available():
        return False
    return bool(torch.version.hip) or supports_capability(
        torch.cuda.get_arch_list(), torch.cuda.get_device_capability()
    )


def supports_capability(built_for: list[str], capability: tuple[int, int]) -> bool:
    """Whether a GPU of this compute capability runs code built for these architectures.

    Machine code (sm) runs on its own major version from its minor version on, PTX (compute) on all later GPUs.

    >>> [supports_capability(["sm_75", "sm_86"], capability) for capability in ((8, 9), (6, 1))]
    [True, False]
    >>> supports_capability(["compute_90"], (12, 0))
    True
    """
    known = [re.fullmatch(r"(sm|compute)_(\d+)(\d)", name) for name in built_for]
    for kind, major, minor in (match.groups() for match in known if match):
        built = (int(major), int(minor))
        if built <= capability and (kind == "compute" or built[0] == capability[0]):
            return True
    return False


def to_device(network: Network, device: str) -> Network:
    """The network on a device ("cpu", "cuda") in eval mode.

    On a GPU, TF32 convolutions and nondeterministic algorithms are switched off for this process, since results are
    cached under their stated precision.
    """
    if device.startswith("cuda"):
        import torch

        torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]
        torch.backends.cudnn.deterministic = True
    return network.to(device).eval()
