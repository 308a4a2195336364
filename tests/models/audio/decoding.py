"""Decoding in tests: the samples of a file, the message of its refusal, and that no subprocess or file is left."""

import os
from pathlib import Path

import numpy as np
import pytest

from models.audio.decode import DEFAULT, decode
from models.audio.settings import IngestSettings
from models.core.errors import BadInput
from models.core.types import Samples


def samples(path: Path, settings: IngestSettings = DEFAULT) -> Samples:
    return np.concatenate(list(decode(path, settings)), axis=1)


def refusal(path: Path, settings: IngestSettings = DEFAULT) -> str:
    """The sentence with which a file is refused; whatever was started or opened for it is gone."""
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(BadInput) as refused:
        for _ in decode(path, settings):
            pass
    assert set(os.listdir("/proc/self/fd")) == before
    assert children() == []
    sentence = str(refused.value)
    assert str(path) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def children() -> list[str]:
    """The ffmpeg programs that this process has started and not ended."""
    numbers = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [number for number in numbers if Path(f"/proc/{number}/comm").read_text().startswith("ffmpeg")]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
