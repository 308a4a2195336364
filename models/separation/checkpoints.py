"""Loading separator checkpoints safely: a file's class must be on a fixed list before it is imported or unpickled.

demucs' own loaders import whatever class a safetensors file names, and unpickle `.th` files, which can run code.
"""

import importlib
import inspect
import json
import re
import struct
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]
from safetensors import SafetensorError

from models.core import registry
from models.core.device import to_device
from models.core.errors import BadInput

if TYPE_CHECKING:
    import torch

CLASSES = {
    "demucs.htdemucs.HTDemucs": ("demucs.htdemucs", "HTDemucs"),
    "demucs.hdemucs.HDemucs": ("demucs.hdemucs", "HDemucs"),
    "demucs.demucs.Demucs": ("demucs.demucs", "Demucs"),
    "models.separation.networks.band_mask.BandMask": ("models.separation.networks.band_mask", "BandMask"),
    "models.separation.networks.mask_cnn.MaskCnn": ("models.separation.networks.mask_cnn", "MaskCnn"),
}
"""Module and class of each network that may be loaded, by the `klass` in a file's metadata."""
RENAMED_CLASSES = {
    "models.demucs.band_mask.BandMask": "models.separation.networks.band_mask.BandMask",
    "models.mask_cnn.network.MaskCnn": "models.separation.networks.mask_cnn.MaskCnn",
}
"""`klass` in files of earlier versions, and its name now."""
RENAMED_ARGUMENTS = {"places": "wiener"}
"""Constructor arguments in files of earlier versions, and their names now."""
ATTRIBUTES = ("sources", "samplerate", "audio_channels")
SUFFIXES = (".safetensors", ".th")
MAX_HEADER = 1 << 24
SEGMENT_S = (0.1, 600.0)
"""Shortest and longest segment of a network, in seconds."""
MALFORMED = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, AssertionError, RuntimeError)
"""Raised by decoding damaged metadata, or by constructing a network from it."""


def separator_path(name_or_file: str) -> Path:
    """Path of a separator in the manifest, verified, or of a user's own file; raises `BadInput`."""
    path = Path(name_or_file)
    if path.suffix in SUFFIXES:
        if not path.is_file():
            raise BadInput(f"There is no separator file {name_or_file!r}.")
        return path
    return registry.verified(registry.find("separator", name_or_file))


def separator_digest(name_or_file: str) -> str:
    """SHA-256 of a separator's file, and of each network of a bag, in one string."""
    path = separator_path(name_or_file)
    if path.suffix != ".yaml":
        return registry.file_digest(path)
    parts = [registry.find("separator_part", name).sha256 for name in _read_bag(path)["models"]]
    return " ".join([registry.file_digest(path), *parts])


def to_fetch(name: str) -> tuple[registry.Weights, ...]:
    """The manifest entries a separator needs that do not come with the project."""
    row = registry.find("separator", name)
    if row.path.suffix == ".yaml":
        return tuple(registry.find("separator_part", part) for part in _read_bag(registry.verified(row))["models"])
    return () if row.shipped else (row,)


def network_modules(path: Path) -> tuple[str, ...]:
    """The project's modules that `load` imports for a separator's network; none for demucs' own classes."""
    if path.suffix == ".yaml":
        parts = [registry.verified(registry.find("separator_part", name)) for name in _read_bag(path)["models"]]
        return tuple(sorted({module for part in parts for module in network_modules(part)}))
    name = _metadata(path).get("klass") if path.suffix == ".safetensors" else None
    return (CLASSES[name][0],) if name in CLASSES and name.startswith("models.") else ()


def load(path: Path, device: str = "cpu") -> "torch.nn.Module":
    """A separator in eval mode and float32, with `sources`, `samplerate`, `audio_channels`, and unless a bag `segment`.

    Reads safetensors whose metadata names a class in `CLASSES`, and demucs' `.th` files by PyTorch's safe unpickler
    (`weights_only=True`); raises `BadInput` with the reason for any other file.
    """
    if path.suffix == ".safetensors":
        network = _from_safetensors(path)
    elif path.suffix == ".th":
        network = _from_pickle(path)
    elif path.suffix == ".yaml" and path.is_relative_to(registry.SHIPPED):
        network = _load_bag(path)
    else:
        raise BadInput(f"{path} is not a separator: its name must end in .safetensors or .th.")
    missing = [name for name in ATTRIBUTES if not hasattr(network, name)]
    if missing:
        raise BadInput(f"The network in {path} lacks {', '.join(missing)}, so it cannot separate.")
    network = network.float()
    _check_usable(path, network)
    return to_device(network, device)


def save(network: "torch.nn.Module", path: Path) -> None:
    """Write one of our networks as demucs' safetensors format, in half precision.

    The arguments of its constructor are read back from attributes of the same names.
    """
    from safetensors.torch import save_file

    klass = type(network)
    names = list(inspect.signature(klass).parameters)
    metadata = {
        "klass": f"{klass.__module__}.{klass.__qualname__}",
        "args": "[]",
        "kwargs": json.dumps({name: getattr(network, name) for name in names}),
    }
    if metadata["klass"] not in CLASSES:
        raise ValueError(f"{metadata['klass']} is not among the classes that can be loaded")
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, path, metadata)


def _from_safetensors(path: Path) -> "torch.nn.Module":
    from safetensors.torch import load_file

    metadata = _metadata(path)
    if "structure" in metadata:
        raise BadInput(f"{path} holds a quantised network, which is not supported; use the plain one.")
    klass = _allowed_class(path, metadata.get("klass"))
    try:
        args, kwargs = (_decode_fractions(json.loads(metadata[name])) for name in ("args", "kwargs"))
        tensors = load_file(path)
    except (*MALFORMED, SafetensorError) as error:
        raise BadInput(f"{path} is not a whole separator file: {_first_line(error)}.") from error
    return _build(path, klass, args, kwargs, tensors)


def _load_bag(path: Path) -> "torch.nn.Module":
    """A demucs `BagOfModels`, described by a shipped yaml file; its networks are verified files of the manifest."""
    from demucs.apply import BagOfModels

    bag = _read_bag(path)
    parts = [registry.verified(registry.find("separator_part", name)) for name in bag["models"]]
    networks: list[Any] = [_from_safetensors(part) for part in parts]
    return BagOfModels(networks, bag["weights"])


def _read_bag(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def _metadata(path: Path) -> dict[str, str]:
    """A safetensors file's metadata, read without touching its tensors."""
    try:
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MAX_HEADER:
                raise ValueError("its header is too large")
            metadata = json.loads(file.read(size))["__metadata__"]
    except (OSError, struct.error, *MALFORMED) as error:
        raise BadInput(f"{path} is not a separator in safetensors format: {_first_line(error)}.") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BadInput(f"{path} is not a separator in safetensors format: its metadata is not text by name.")
    if "klass" in metadata:
        metadata["klass"] = RENAMED_CLASSES.get(metadata["klass"], metadata["klass"])
    return metadata


def _from_pickle(path: Path) -> "torch.nn.Module":
    """A demucs package: a dict of klass, args, kwargs, state."""
    import torch

    allowed = [*_demucs_classes(), Fraction, OrderedDict]
    try:
        with torch.serialization.safe_globals(allowed):
            package = torch.load(path, "cpu", weights_only=True)
    except Exception as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"it asks for {refused[1]}" if refused else "it is damaged or no checkpoint"
        raise BadInput(f"{path} cannot be read without running code in it, so it is refused: {what}.") from error
    if not isinstance(package, dict) or not {"klass", "args", "kwargs", "state"} <= package.keys():
        raise BadInput(f"{path} is not a demucs checkpoint: it lacks klass, args, kwargs or state.")
    klass = package["klass"]
    if klass not in _demucs_classes():
        raise BadInput(f"{path} names the class {klass!r}, which is not a separator.")
    return _build(path, klass, package["args"], package["kwargs"], package["state"])


def _demucs_classes() -> list[Any]:
    return [_class(name) for name in CLASSES if name.startswith("demucs.")]


def _allowed_class(path: Path, name: str | None) -> Any:
    if name not in CLASSES:
        raise BadInput(f"{path} names the class {name!r}, which is not one of {', '.join(sorted(CLASSES))}.")
    return _class(name)


def _class(name: str) -> Any:
    module, attribute = CLASSES[name]
    return getattr(importlib.import_module(module), attribute)


def _decode_fractions(value: Any) -> Any:
    """A constructor's arguments from demucs' JSON, in which fractions are objects."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _decode_fractions(item) for key, item in value.items()}
    return [_decode_fractions(item) for item in value] if isinstance(value, list) else value


def _build(path: Path, klass: Any, args: Any, kwargs: Any, state: Any) -> "torch.nn.Module":
    """The network with its weights; arguments the class does not have are dropped, as demucs does."""
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict) or not isinstance(state, dict):
        raise BadInput(f"{path} is not a separator: args has to be a list, kwargs and the weights have to go by names.")
    kwargs = {RENAMED_ARGUMENTS.get(name, name): value for name, value in kwargs.items()}
    known = inspect.signature(klass).parameters
    try:
        network: torch.nn.Module = klass(*args, **{k: v for k, v in kwargs.items() if k in known})
        network.load_state_dict(state)
    except MALFORMED as error:
        raise BadInput(f"The weights in {path} do not fit the network they name: {_first_line(error)}") from error
    return network


def _check_usable(path: Path, network: "torch.nn.Module") -> None:
    """Raise `BadInput` for an unusable segment length, unusable sources, or weights that are not finite."""
    import torch

    for one in getattr(network, "models", [network]):  # BagOfModels has several
        segment = getattr(one, "segment", None)
        if not isinstance(segment, int | float | Fraction) or not SEGMENT_S[0] <= segment <= SEGMENT_S[1]:
            raise BadInput(f"The network in {path} has segments of {segment} s; they must last 0.1 to 600 s.")
    sources: Any = network.sources
    if not isinstance(sources, list | tuple) or not sources or not all(isinstance(name, str) for name in sources):
        raise BadInput(f"The network in {path} has the sources {sources!r}; they must be a list of names.")
    for name, values in network.state_dict().items():
        if not torch.isfinite(values).all():
            raise BadInput(f"The network in {path} has weights that are not numbers, in {name}.")


def _first_line(error: Exception) -> str:
    """The first line of an error's message, or its class name where it has none."""
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
