"""Any separator's sources mapped to the four stems drums, bass, other and vocals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.core.errors import BadInput
from models.core.types import Samples

STEMS = ("drums", "bass", "other", "vocals")


def check_sources(separator: str, sources: Sequence[str]) -> None:
    """Raise `BadInput` unless a network separates vocals from accompaniment.

    Its sources must be `vocals` and at least one that is, or belongs to, the stem `other`; drums and bass may be part
    of `other`. Source names must be unique.

    >>> check_sources("mine.th", ["accompaniment", "vocals"])
    >>> check_sources("mine.th", ["lead_vocals", "backing_vocals", "room"])
    Traceback (most recent call last):
    models.core.errors.BadInput: mine.th has the sources lead_vocals, backing_vocals, room; it needs vocals and other.
    """
    names = list(sources)
    described = f"{Path(separator).name} has the sources {', '.join(names)}"
    if len(set(names)) < len(names):
        raise BadInput(f"{described}; each needs a name of its own.")
    if "vocals" not in names or not parts_of_other(names):
        raise BadInput(f"{described}; it needs vocals and other.")


def parts_of_other(sources: Sequence[str]) -> list[str]:
    """The sources that sum to the stem `other`: itself, and all that are not a stem (guitar, piano, accompaniment)."""
    return [name for name in sources if name == "other" or name not in STEMS]


def four_stems(sources: Sequence[str], parts: Samples) -> Samples:
    """Drums, bass, other and vocals from a network's own sources. Shape: (sources, 2, n) -> (4, 2, n)."""
    stems = np.zeros((len(STEMS), *parts.shape[1:]), np.float32)
    for name, part in zip(sources, parts, strict=True):
        stems[STEMS.index(name if name in STEMS else "other")] += part
    return stems
