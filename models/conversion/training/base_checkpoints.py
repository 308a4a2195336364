"""Base checkpoints of full-size training: `G_*.pth` and `D_*.pth` as published by so-vits-svc's authors.

They were trained on many speakers, some with a wider speaker embedding than the fork's networks. Layers that depend on
it may differ in size and are then trained from scratch, as in the fork; all others must fit.
"""

import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.conversion.engines.so_vits_network import Network
from models.core import registry
from models.core.errors import BadInput

KIND = "base_checkpoint"
"""The manifest's kind of these files."""
_SPEAKER_LAYERS = re.compile(r"(^|\.)(emb_g|cond|cond_layer)\.")


@dataclass(frozen=True)
class BasePair:
    """The files of a generator and of its discriminators."""

    generator: Path
    discriminators: Path


def base_pair(folder: Path) -> BasePair:
    """The pair of most steps in a folder; raises `BadInput` if one of the two is missing."""
    newest = {}
    for letter in "GD":
        wanted = re.compile(rf"(?:.*_)?{letter}_(\d+)\.(?:pth|safetensors)")
        steps = {path: wanted.fullmatch(path.name) for path in _files(folder)}
        named = {path: int(match[1]) for path, match in steps.items() if match}
        if not named:
            raise BadInput(f"{folder} holds no {letter}_<steps>.pth (or .safetensors) to start from.")
        newest[letter] = max(named, key=lambda path: named[path])
    return BasePair(newest["G"], newest["D"])


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def fetched_base_folder() -> Path:
    """The folder of the fetched pair, verified; raises `BadInput` if it is not fetched or damaged."""
    paths = [registry.verified(row) for row in registry.manifest() if row.kind == KIND]
    return paths[0].parent


def load_base_weights(network: Network, path: Path) -> None:
    """Load a base checkpoint into a network in training; raises `BadInput` if it does not fit."""
    given, wanted = _state(path), network.state_dict()
    for name, tensor in wanted.items():
        fits = name in given and given[name].shape == tensor.shape
        if not fits and not _SPEAKER_LAYERS.search(name):
            has = f"is {_size(given[name])}" if name in given else "is missing"
            raise BadInput(f"{path.name} is no base for this voice: {name} {has}, and {_size(tensor)} is wanted.")
    fitting = {k: v.float() for k, v in given.items() if k in wanted and v.shape == wanted[k].shape}
    network.load_state_dict(fitting, strict=False)


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name; raises `BadInput` for a file that could run code or has none."""
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        if not all(isinstance(tensor, Tensor) for tensor in state.values()):
            raise ValueError("not all of it are tensors")
        return dict(state)
    except pickle.UnpicklingError as error:
        raise BadInput(f"The checkpoint {path.name} is refused: loading it could run code.") from error
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, OSError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"The checkpoint {path.name} cannot be read: {reason}.") from error
