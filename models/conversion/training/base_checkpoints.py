"""The checkpoints that full-size training starts from: `G_*.pth` and `D_*.pth` as so-vits-svc's makers publish them.

They were trained on many speakers, and some with a wider description of the speaker than the fork's networks have. So
what tells speakers apart may be of another size and is then learned anew, as the fork does it; all else must fit.
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
"""Of the manifest's rows that can be fetched."""
_OF_THE_SPEAKER = re.compile(r"(^|\.)(emb_g|cond|cond_layer)\.")


@dataclass(frozen=True)
class BasePair:
    """The files of a generator and of its discriminators."""

    generator: Path
    judge: Path


def base_pair(folder: Path) -> BasePair:
    """The pair in a folder, of most steps where it holds several; raises `BadInput` where one of the two is missing."""
    found = {}
    for letter in "GD":
        wanted = re.compile(rf"(?:.*_)?{letter}_(\d+)\.(?:pth|safetensors)")
        steps = {path: wanted.fullmatch(path.name) for path in _files(folder)}
        named = {path: int(match[1]) for path, match in steps.items() if match}
        if not named:
            raise BadInput(f"{folder} holds no {letter}_<steps>.pth (or .safetensors) to start from.")
        found[letter] = max(named, key=lambda path: named[path])
    return BasePair(found["G"], found["D"])


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def fetched_base() -> Path:
    """The folder of the fetched pair, each of the SHA-256 that the manifest names; raises `BadInput` otherwise."""
    paths = [registry.verified(row) for row in registry.manifest() if row.kind == KIND]
    return paths[0].parent


def take_base(network: Network, path: Path) -> None:
    """Give a network in training the weights of a base checkpoint; raises `BadInput` where it is not of its kind."""
    given, wanted = _state(path), network.state_dict()
    for name, tensor in wanted.items():
        fits = name in given and given[name].shape == tensor.shape
        if not fits and not _OF_THE_SPEAKER.search(name):
            has = f"is {_size(given[name])}" if name in given else "is missing"
            raise BadInput(f"{path.name} is no base for this voice: {name} {has}, and {_size(tensor)} is wanted.")
    fitting = {k: v.float() for k, v in given.items() if k in wanted and v.shape == wanted[k].shape}
    network.load_state_dict(fitting, strict=False)


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name; raises `BadInput` where it could run code or holds none."""
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
