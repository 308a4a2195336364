"""Beat tracker: a temporal convolutional network with logits of beat and downbeat every 20 ms.

Davies and Böck, "Temporal convolutional networks for musical audio beat tracking", EUSIPCO 2019: a stack of dilated
convolutions has a receptive field of a minute and a half. Here its inputs are the separated stems and the note
energies, each with a convolution of its own, so that drums, bass line and harmony stay apart.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from models.analysis.chroma import NOTES
from models.analysis.onset_features import BANDS
from models.core.device import to_device
from models.core.errors import BadInput

STEMS = 3
_BRANCH_WIDTH = 16
_KERNEL = 5


class BeatTracker(nn.Module):
    """Shape: (B, 2 * STEMS * bands + notes, frames) -> (B, 2, frames), the logits of a beat and of a downbeat.

    Input channels: of each stem first its log-band spectrum, then its positive flux; last the `notes`.
    """

    def __init__(self, bands: int = BANDS, notes: int = NOTES, width: int = 48, depth: int = 10, dropout: float = 0.15):
        super().__init__()
        self.sizes = {"bands": bands, "notes": notes, "width": width, "depth": depth}
        self.bands, self.notes = bands, notes
        self.stems = nn.ModuleList(nn.Conv1d(2 * bands, _BRANCH_WIDTH, 3, padding=1) for _ in range(STEMS))
        self.harmony = nn.Conv1d(notes, _BRANCH_WIDTH, 1)
        self.enter = nn.Conv1d((STEMS + 1) * _BRANCH_WIDTH, width, 1)
        self.layers = nn.ModuleList(_Layer(width, 2**i, dropout) for i in range(depth))
        self.leave = nn.Conv1d(width, 2, 1)

    @property
    def reach(self) -> int:
        """Half the receptive field, in frames."""
        return int(_KERNEL // 2 * (2 ** len(self.layers) - 1)) + 1

    def forward(self, x: Tensor) -> Tensor:
        *stems, notes = torch.split(x, [2 * self.bands] * STEMS + [self.notes], dim=1)
        branches = [convolve(stem) for convolve, stem in zip(self.stems, stems, strict=True)]
        hidden = self.enter(functional.elu(torch.cat([*branches, self.harmony(notes)], dim=1)))
        for layer in self.layers:
            hidden = layer(hidden)
        logits: Tensor = self.leave(functional.elu(hidden))
        return logits


class _Layer(nn.Module):
    """A dilated convolution with a residual path. Shape: (B, width, frames) -> (B, width, frames)."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = _FrameNorm(width)
        self.spread = nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2 * dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.mix(self.dropout(functional.elu(self.spread(self.norm(x))))))


class _FrameNorm(nn.LayerNorm):
    """Layer normalisation of each frame by itself, so that block-wise inference equals that of the whole song."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def save(network: BeatTracker, path: Path) -> None:
    """Write the network in half precision as safetensors, its sizes in the metadata."""
    half = {name: value.detach().half().contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(half, path, {"sizes": json.dumps(network.sizes)})


def load(path: Path, device: str = "cpu") -> BeatTracker:
    """The network in a safetensors file; raises `BadInput` where the file holds another one."""
    try:
        with safe_open(path, "pt") as file:
            sizes: dict[str, Any] = json.loads(file.metadata()["sizes"])
        network = BeatTracker(**sizes)
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path} does not hold a beat tracker this version can load: {error}") from error
    return to_device(network, device)
