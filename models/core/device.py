"""Networks on a GPU: whether torch can compute on the one that is there, and float32 that is float32 on it."""

import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Network = TypeVar("Network", bound="torch.nn.Module")


def usable() -> bool:
    """Whether there is a CUDA device that this build of torch holds machine code for.

    torch calls a card available for which it has none, and then fails at the first operation.
    """
    import torch

    if not torch.cuda.is_available():
        return False
    return bool(torch.version.hip) or runs(torch.cuda.get_arch_list(), torch.cuda.get_device_capability())


def runs(built_for: list[str], capability: tuple[int, int]) -> bool:
    """Whether a card of this compute capability runs code that was built for these architectures.

    Machine code (sm) runs on its own generation from its revision on, intermediate code (compute) on all later cards.

    >>> runs(["sm_75", "sm_86"], (8, 9)), runs(["sm_75", "sm_86"], (6, 1)), runs(["compute_90"], (12, 0))
    (True, False, True)
    """
    known = [re.fullmatch(r"(sm|compute)_(\d+)(\d)", name) for name in built_for]
    for kind, major, minor in (match.groups() for match in known if match):
        built = (int(major), int(minor))
        if built <= capability and (kind == "compute" or built[0] == capability[0]):
            return True
    return False


def placed(network: Network, device: str) -> Network:
    """The network on a device ("cpu", "cuda"), ready to infer.

    On a GPU torch rounds what convolutions are given to 10 bits unless told otherwise, and takes algorithms whose sums
    vary from run to run; both are switched off for this process, since a result is kept under its stated precision.
    """
    if device.startswith("cuda"):
        import torch

        torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]
        torch.backends.cudnn.deterministic = True
    return network.to(device).eval()
