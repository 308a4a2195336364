"""Where the Music Transformer's weights lie, found without torch."""

from pathlib import Path
from typing import Any

from models.core import registry


def weights_path(transformer: str) -> Path:
    """The verified weights of that name; raises `BadInput` for an unknown name or a damaged file."""
    return registry.verified(registry.find("music_transformer", transformer))


def weights_digest(transformer: str, **inputs: Any) -> str:
    """The SHA-256 of the weights of that name."""
    return registry.file_digest(weights_path(transformer))
